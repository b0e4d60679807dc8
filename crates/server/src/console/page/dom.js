// Elements. Text enters a page here only, and always as text: there is no way from a string to HTML in the console.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Makes an element: h("button", { class: "main", onclick: save }, "Save").
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

// Makes an element of a drawing.
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

// Replaces what is in an element.
export function show(element, ...children) {
  element.replaceChildren();
  return fill(element, {}, children);
}

export const quiet = (...text) => h("p", { class: "quiet" }, ...text);

// What stands where there is nothing: what it is that is not there, and what to do.
export function empty(title, ...more) {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, title),
    more.length ? h("p", {}, ...more) : null,
  );
}

export function loading(what = "Loading") {
  return h("p", { class: "quiet loading", role: "status" }, what, " …");
}

// What stands where something failed: what, why, and a way to try again.
export function failure(what, error, again) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, what),
    h("p", {}, error.message ?? String(error)),
    again ? h("button", { onclick: again }, "Try again") : null,
  );
}

// Says something for a few seconds, also to screen readers.
export function note(text, kind = "good") {
  const line = h("div", { class: `note ${kind}` }, text);
  document.getElementById("notes").append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 9000 : 4500);
}

// Opens a dialog. `make` gets a function that closes it, and returns its content. Escape closes it, and the focus
// returns to where it was.
export function dialog(title, make, kind = "") {
  const before = document.activeElement;
  const box = h("dialog", { class: kind, "aria-label": title });
  const close = () => box.close();
  box.append(
    h(
      "div",
      { class: "dialog-head" },
      h("h2", {}, title),
      h("button", { class: "icon", "aria-label": "Close", onclick: close }, "×"),
    ),
    ...[make(close)].flat(),
  );
  box.addEventListener("close", () => {
    box.remove();
    // What it was may have been drawn anew meanwhile.
    (before?.isConnected ? before : document.getElementById("view")).focus();
  });
  document.body.append(box);
  box.showModal();
  return box;
}

// Asks before something that cannot be undone. `act` may fail: then the dialog stays and says why.
export function confirmed(title, text, verb, act) {
  dialog(title, (close) => {
    const problem = h("div", {});
    const button = h("button", { class: "danger" }, verb);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await act();
        close();
      } catch (error) {
        show(problem, failure(`${verb}: it did not work`, error));
        button.disabled = false;
      }
    });
    const cancel = h("button", { onclick: close, autofocus: true }, "Cancel");
    return [h("div", { class: "dialog-text" }, text), problem, h("div", { class: "row end" }, cancel, button)];
  });
}

let count = 0;

// Makes a labelled field: [label, input].
export function field(label, input, hint) {
  input.id ||= `field-${++count}`;
  if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: input.id }, label),
    input,
    hint ? h("p", { class: "hint", id: `${input.id}-hint` }, hint) : null,
  );
}

// Makes a form in a dialog. `act` gets nothing and may fail: then the form stays and says why.
export function form(title, fields, verb, act) {
  const box = dialog(title, (close) => {
    const problem = h("div", {});
    const button = h("button", { class: "main", type: "submit" }, verb);
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        if ((await act()) !== false) close();
      } catch (error) {
        show(problem, failure("It did not work", error));
      }
      button.disabled = false;
    };
    const cancel = h("button", { type: "button", onclick: close }, "Cancel");
    return h("form", { onsubmit: submit }, fields, problem, h("div", { class: "row end" }, cancel, button));
  });
  box.querySelector("input, textarea, select")?.focus();
  return box;
}
