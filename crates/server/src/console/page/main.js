// The frame of the console: which view is shown, who has logged in, keys of the keyboard, light and dark.

import { dialog, failure, field, h, quiet, show } from "./dom.js";
import { call } from "./api.js";
import { showText } from "./bytes.js";
import { cluster } from "./cluster.js";
import { keys } from "./keys.js";
import { leases } from "./leases.js";
import { load } from "./load.js";
import * as session from "./session.js";
import { users } from "./users.js";
import { watch } from "./watch.js";

const VIEWS = [
  ["cluster", "Cluster", cluster],
  ["keys", "Keys", keys],
  ["watch", "Watch", watch],
  ["leases", "Leases", leases],
  ["users", "Users", users],
  ["load", "Load", load],
];

const bar = document.getElementById("bar");
const view = document.getElementById("view");
let shown = null;

// The theme of the system, unless the person has chosen the other.
const THEMES = { auto: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };

// A browser may refuse to keep anything: then the choice lasts as long as the page.
let chosen = null;
try {
  chosen = localStorage.getItem("quorate-theme");
} catch {}

function theme() {
  return chosen in THEMES ? chosen : "auto";
}

function applyTheme() {
  if (theme() === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme();
}

function turnTheme() {
  const names = Object.keys(THEMES);
  chosen = names[(names.indexOf(theme()) + 1) % names.length];
  try {
    localStorage.setItem("quorate-theme", chosen);
  } catch {}
  applyTheme();
  drawBar();
  bar.querySelector('[aria-label^="Colours"]').focus();
}

function drawBar() {
  const [icon, words] = THEMES[theme()];
  const links = VIEWS.map(([name, title], at) =>
    h(
      "a",
      { href: `#/${name}`, "aria-current": shown?.name === name ? "page" : null, title: `${title} (${at + 1})` },
      title,
    ),
  );
  const person = session.user();
  show(
    bar,
    h(
      "a",
      { class: "brand", href: "#/cluster", "aria-label": "Quorate" },
      h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }),
      h("span", {}, "Quorate"),
    ),
    shown ? h("nav", { "aria-label": "Views" }, links) : h("span", { class: "grow" }),
    h(
      "div",
      { class: "tools" },
      person ? h("span", { class: "person", title: "Logged in" }, showText(person)) : null,
      person ? h("button", { onclick: logOut }, "Log out") : null,
      h(
        "button",
        { class: "icon", onclick: turnTheme, "aria-label": `Colours: ${words}`, title: `Colours: ${words}` },
        icon,
      ),
      h("button", { class: "icon", onclick: help, "aria-label": "Help", title: "Help (?)" }, "?"),
    ),
  );
}

function go(path) {
  location.hash = `#/${path}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Shows what the address asks for.
function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const found = VIEWS.find(([known]) => known === name) ?? VIEWS[0];
  const below = decoded(rest.join("/"));
  if (shown?.name === found[0]) {
    // The view stays; it shows another of its things, if it can.
    return shown.page?.turn?.(below);
  }
  const isTurn = Boolean(shown);
  shown?.controller.abort();
  const controller = new AbortController();
  shown = { name: found[0], controller };
  drawBar();
  document.title = `${found[1]} · Quorate`;
  view.className = `view-${found[0]}`;
  shown.page = found[2](view, { signal: controller.signal, rest: below, go });
  // The link that was followed has been drawn anew: the focus goes where it leads.
  if (isTurn) view.focus({ preventScroll: true });
}

function logOut() {
  session.end();
  start();
}

function leave() {
  shown?.controller.abort();
  shown = null;
  drawBar();
}

function isReadOnItsWay() {
  return location.protocol === "http:" && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);
}

// Asks for a name and a password where the cluster asks for a user.
function logIn(why) {
  leave();
  const name = h("input", { required: true, autocomplete: "username", autocapitalize: "off", spellcheck: "false" });
  const password = h("input", { type: "password", required: true, autocomplete: "current-password" });
  const problem = h("div", {}, why ? h("p", { class: "notice warn", role: "status" }, why) : null);
  const button = h("button", { class: "main", type: "submit" }, "Log in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const { token } = await call(
        "auth/authenticate",
        { name: name.value, password: password.value },
        { isAnonymous: true },
      );
      session.begin(name.value, token);
      route();
    } catch (error) {
      show(
        problem,
        failure(
          "You are not logged in",
          error.message.includes("invalid user ID or password")
            ? new Error("There is no such user, or the password is another.")
            : error,
        ),
      );
      password.value = "";
      password.focus();
    }
    button.disabled = false;
  };
  show(
    view,
    h(
      "form",
      { class: "login card", onsubmit: submit },
      h("h1", {}, "Log in"),
      quiet("With a user of this cluster. You see and change what that user may."),
      isReadOnItsWay()
        ? h(
            "p",
            { class: "notice warn" },
            "This connection is not encrypted: whoever is on its way can read the password.",
          )
        : null,
      problem,
      field("User", name),
      field("Password", password),
      button,
    ),
  );
  name.focus();
}

function help() {
  if (document.querySelector("dialog[open]")) return;
  const rows = [
    ["1 – 6", "go to a view"],
    ["/", "search: the field of the view"],
    ["↑ ↓", "move in the tree of keys"],
    ["→ ←", "open and close a branch"],
    ["Enter", "open a key, or a branch"],
    ["n", "new key, in the view of keys"],
    ["Esc", "close what is open"],
    ["?", "this help"],
  ];
  dialog("Keyboard", () =>
    h(
      "dl",
      { class: "shortcuts" },
      rows.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what))),
    ),
  );
}

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, dialog");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.closest?.("input") && !event.target.closest("dialog"))
    return event.target.blur();
  if (isTyping) return;
  if (event.key === "?") help();
  else if (event.key === "/") {
    const field = view.querySelector("[data-search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "n" && shown?.name === "keys") {
    event.preventDefault();
    Array.from(view.querySelectorAll("button"))
      .find((button) => button.textContent === "New key")
      ?.click();
  } else if (VIEWS[Number(event.key) - 1] && shown) go(VIEWS[Number(event.key) - 1][0]);
});

addEventListener("hashchange", () => shown && route());
addEventListener("login-needed", () => {
  if (!shown) return;
  const had = session.user();
  session.end();
  logIn(had ? "Your session has ended." : null);
});

async function start() {
  leave();
  try {
    const { enabled } = await call("auth/status", {}, { isAnonymous: true });
    if (!enabled) session.end();
    if (enabled && !session.token()) logIn();
    else route();
  } catch (error) {
    show(view, failure("This member does not answer", error, start));
  }
}

applyTheme();
start();
