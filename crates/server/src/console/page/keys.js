// The view of keys: the tree, and beside it one key with its value.

import { empty, failure, h, loading, show } from "./dom.js";
import { call } from "./api.js";
import { count, hex, parseBytes, showBytes, size, span } from "./bytes.js";
import { create, edit, remove } from "./edit.js";
import { history } from "./history.js";
import { read } from "./pair.js";
import { user } from "./session.js";
import { Tree } from "./tree.js";
import { drawValue } from "./value.js";

export function keys(view, { signal, rest, go }) {
  const search = h("input", {
    type: "search",
    class: "search",
    placeholder: "Begins with …",
    "aria-label": "Keys that begin with",
    autocomplete: "off",
    spellcheck: "false",
    "data-search": true,
  });
  const list = h("div", { class: "tree-box" });
  const detail = h("section", { class: "detail", "aria-label": "Key" });
  const page = { detail, signal, go, refresh: () => begin(), draw: (key) => drawKey(page, key) };
  const open = (key) => go(`keys/${encodeURIComponent(showBytes(key))}`);
  let listing;
  async function begin() {
    // A listing that is still on its way would take the place of this one.
    listing?.abort();
    listing = new AbortController();
    const within = AbortSignal.any([signal, listing.signal]);
    show(list, loading());
    const prefix = parseBytes(search.value);
    const tree = new Tree({ choose: open, user: user(), signal: within });
    page.tree = tree;
    try {
      const { isEmpty, parts } = await tree.start(prefix);
      if (within.aborted) return;
      if (isEmpty)
        return show(
          list,
          prefix.length
            ? empty("Nothing begins with that.")
            : empty("There are no keys yet.", "Make the first with “New key”."),
        );
      show(list, parts ? h("p", { class: "hint" }, "What your roles let you read:") : null, tree.element);
      tree.mark(page.name);
    } catch (error) {
      if (error.name !== "AbortError") show(list, failure("The keys cannot be listed", error, begin));
    }
  }
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(begin, 250);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open(parseBytes(search.value));
    if (event.key === "ArrowDown") list.querySelector('[role=treeitem][tabindex="0"]')?.focus();
  });
  show(
    view,
    h("h1", { class: "unseen" }, "Keys"),
    h(
      "div",
      { class: "split" },
      h(
        "section",
        { class: "side", "aria-label": "All keys" },
        h(
          "div",
          { class: "row" },
          search,
          h("button", { onclick: () => create(page, search.value, open) }, "New key"),
        ),
        list,
      ),
      detail,
    ),
  );
  page.name = rest;
  begin();
  page.turn = (next) => {
    page.name = next;
    page.tree?.mark(next);
    view.querySelector(".split").classList.toggle("has-key", Boolean(next));
    page.reading?.abort();
    if (next) drawKey(page, parseBytes(next));
    else
      show(
        detail,
        empty("No key is chosen.", "Choose one in the list, or type the whole name of one and press Enter."),
      );
  };
  page.turn(rest);
  return page;
}

const heading = (page, key) => [
  h("button", { class: "back", onclick: () => page.go("keys") }, "‹ All keys"),
  h("h2", { class: "key-name" }, showBytes(key)),
];

async function drawKey(page, key) {
  const { detail } = page;
  // A key that is still on its way would take the place of this one.
  page.reading?.abort();
  page.reading = new AbortController();
  const signal = AbortSignal.any([page.signal, page.reading.signal]);
  show(detail, heading(page, key), loading());
  try {
    const { pair, at } = await read(key, null, signal);
    if (!pair) {
      show(
        detail,
        heading(page, key),
        empty("There is no such key now.", "It may have been deleted, or it never was."),
        h(
          "div",
          { class: "row" },
          h("button", { onclick: () => create(page, showBytes(key), () => drawKey(page, key)) }, "Create it"),
          h("button", { onclick: () => history(page, key, null, at) }, "What it was before"),
        ),
        h("div", { class: "history" }),
      );
      return;
    }
    const actions = h(
      "div",
      { class: "row" },
      h("button", { class: "main", onclick: () => edit(page, pair) }, "Edit"),
      h("button", { onclick: () => history(page, key, pair, at) }, "History"),
      h("button", { onclick: () => page.go(`watch/${encodeURIComponent(showBytes(key))}`) }, "Watch"),
      h("button", { onclick: () => drawKey(page, key) }, "Reload"),
      h("button", { class: "danger", onclick: () => remove(page, pair) }, "Delete"),
    );
    const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
    const facts = h(
      "dl",
      { class: "facts" },
      fact("Changed at revision", count(pair.changed)),
      fact("Created at revision", count(pair.created)),
      fact("Version", count(pair.version)),
      fact("Size", size(pair.value.length)),
      pair.lease === "0" ? null : fact("Lease", leaseOf(page, pair)),
    );
    show(detail, heading(page, key), actions, facts, drawValue(pair.value), h("div", { class: "history" }));
  } catch (error) {
    if (error.name !== "AbortError")
      show(
        detail,
        heading(page, key),
        failure("The key cannot be read", error, () => drawKey(page, key)),
      );
  }
}

function leaseOf(page, pair) {
  const rest = h("span", {});
  call("lease/timetolive", { ID: pair.lease }, { signal: page.signal }).then(
    ({ TTL }) => show(rest, Number(TTL) >= 0 ? ` (${span(TTL)} left)` : " (has ended)"),
    () => {},
  );
  return [hex(pair.lease), rest];
}
