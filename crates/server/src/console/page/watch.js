// A watch: what changes, as it changes. It reads on where it stopped when the connection was lost, so nothing is
// missed; and where something is missing because it was compacted, it says so.

import { empty, h, show } from "./dom.js";
import { ApiError, pause, stream } from "./api.js";
import { count, fromBase64, parseBytes, plural, rangeOf, showBytes, showText, toBase64 } from "./bytes.js";
import { comparable } from "./value.js";

const ROWS_MAX = 500;
const VALUE_CHARACTERS = 240;
const RETRY_MS_MAX = 8_000;

// Ends a stream whose watch has been ended by a compaction.
class Compacted extends Error {}

// The codes that a member gives in words when it ends a watch.
const CODES = { InvalidArgument: 3, Unauthenticated: 16 };

// Says why a member has ended a watch.
export function ended(reason) {
  if (reason.includes("permission denied")) return new ApiError(7, "Your user may not read all of these keys.");
  const [, code, text] = /^rpc error: code = (\w+) desc = (.*)$/s.exec(reason) ?? [];
  return new ApiError(CODES[code] ?? 2, text || reason || "The member has ended it.");
}

// Follows a range. `on.events` gets what changes, `on.state` what to tell a person, `on.gap` what was missed.
export async function follow(range, on, signal) {
  let next = null;
  let failures = 0;
  while (!signal.aborted) {
    const create = {
      ...range,
      prev_kv: Boolean(on.previous),
      progress_notify: true,
      ...(next ? { start_revision: String(next) } : {}),
    };
    try {
      await stream(
        "watch",
        { create_request: create },
        (result) => {
          const revision = BigInt(result.header?.revision ?? 0);
          if (result.compact_revision) {
            const compacted = BigInt(result.compact_revision);
            on.gap?.(next, compacted);
            next = compacted;
            // The member has ended the watch, and not the stream: another one takes its place.
            throw new Compacted();
          }
          if (result.canceled) throw ended(result.cancel_reason ?? "");
          failures = 0;
          on.state?.("live");
          if (result.created) next ??= revision + 1n;
          // A progress notification: everything up to this revision has been sent.
          else next = BigInt(result.events?.at(-1)?.kv.mod_revision ?? revision) + 1n;
          if (result.events) on.events(result.events);
        },
        { signal },
      );
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error instanceof Compacted) continue;
      if (error instanceof ApiError && (error.isDenied || error.needsLogin || [3, 12].includes(error.code)))
        return on.state?.("failed", error);
    }
    if (signal.aborted) return;
    failures += 1;
    on.state?.("lost");
    await pause(Math.min(RETRY_MS_MAX, 250 * 2 ** failures) * (0.75 + Math.random() / 2), signal);
  }
}

export function watch(view, { signal, rest, go }) {
  const name = h("input", {
    value: rest ?? "",
    spellcheck: "false",
    autocomplete: "off",
    "data-search": true,
    placeholder: "everything",
  });
  const kind = h(
    "select",
    { "aria-label": "What to watch" },
    h("option", { value: "prefix" }, "all that begins with"),
    h("option", { value: "key" }, "the one key"),
  );
  kind.value = rest ? "key" : "prefix";
  // The number is not announced: it would never stop talking.
  const [stateText, changes] = [h("span", { role: "status" }), h("span", {})];
  const state = h("p", { class: "state" }, stateText, changes);
  const rows = h("ol", { class: "events", "aria-label": "Changes, the newest first" });
  const nothing = h("div", {});
  const toggle = h("button", { class: "main", type: "submit" }, "Start");
  let running = null;
  let [held, isHeld, total] = [[], false, 0];
  const hold = h("button", { type: "button", hidden: true, "aria-pressed": "false" }, "Hold");
  hold.addEventListener("click", () => {
    isHeld = !isHeld;
    hold.setAttribute("aria-pressed", String(isHeld));
    hold.textContent = isHeld ? "Go on" : "Hold";
    if (!isHeld) held.splice(0).forEach(add);
  });
  const add = (row) => {
    nothing.replaceChildren();
    rows.prepend(row);
    while (rows.children.length > ROWS_MAX) rows.lastChild.remove();
  };
  const put = (row) => {
    if (!isHeld) return add(row);
    held.push(row);
    if (held.length > ROWS_MAX) held.shift();
    hold.textContent = `Go on (${held.length} held)`;
  };
  const texts = {
    live: () => ["live", "Live."],
    lost: () => ["lost", "The connection is lost. It is tried again; the watch goes on where it stopped."],
    failed: (error) => ["failed", `The watch has ended. ${error.message}`],
    ended: () => ["", "Not watching."],
  };
  const say = (what, error) => {
    const [mark, text] = texts[what](error);
    state.className = `state ${mark}`;
    // Only what is new is announced.
    if (stateText.textContent !== text) stateText.textContent = text;
    changes.textContent = running ? `${plural(total, "change")} so far.` : "";
    state.dataset.state = what;
  };
  const stop = () => {
    running?.abort();
    running = null;
    hold.hidden = true;
    toggle.textContent = "Start";
    say("ended");
  };
  const start = () => {
    rows.replaceChildren();
    total = 0;
    const bytes = parseBytes(name.value);
    const range = kind.value === "key" && bytes.length ? { key: toBase64(bytes) } : rangeOf(bytes);
    running = new AbortController();
    signal.addEventListener("abort", () => running?.abort(), { once: true });
    hold.hidden = false;
    toggle.textContent = "Stop";
    show(nothing, empty("Nothing has changed yet.", "Changes appear here as they happen."));
    const on = {
      events: (events) => {
        total += events.length;
        // A burst longer than the list is not drawn only to be dropped.
        events.slice(-ROWS_MAX).forEach((event) => put(eventRow(event, go)));
        say("live");
      },
      gap: (from, to) =>
        put(
          h(
            "li",
            { class: "event gap" },
            from
              ? `The changes from revision ${count(from)} to ${count(to - 1n)} have been compacted while the connection was lost: they are missing here.`
              : `Earlier changes have been compacted.`,
          ),
        ),
      state: say,
    };
    follow(range, on, running.signal);
  };
  const submit = (event) => {
    event.preventDefault();
    if (running) stop();
    else start();
  };
  show(
    view,
    h("h1", {}, "Watch"),
    h(
      "form",
      { class: "row watch-form", onsubmit: submit },
      kind,
      h("span", { class: "grow" }, h("label", { class: "unseen", for: "watch-name" }, "Key or beginning"), name),
      toggle,
      hold,
    ),
    state,
    nothing,
    rows,
  );
  name.id = "watch-name";
  say("ended");
  if (rest) start();
  else show(nothing, empty("See changes as they happen.", "Leave the field empty for all keys, which takes the right to read all of them."));
  return {
    turn: (next) => next && next !== name.value && ((name.value = next), (kind.value = "key"), stop(), start()),
  };
}

function eventRow(event, go) {
  const key = fromBase64(event.kv.key);
  const isDeletion = event.type === "DELETE";
  const isNew = !isDeletion && event.kv.version === "1";
  const value = isDeletion ? "" : comparable(fromBase64(event.kv.value).subarray(0, 4096));
  const shown = value.length > VALUE_CHARACTERS ? `${value.slice(0, VALUE_CHARACTERS)} …` : value;
  const name = showBytes(key);
  return h(
    "li",
    { class: "event" },
    h(
      "span",
      { class: `mark ${isDeletion ? "removed" : isNew ? "added" : "changed"}` },
      isDeletion ? "deleted" : isNew ? "created" : "changed",
    ),
    h("a", { class: "event-key", href: `#/keys/${encodeURIComponent(name)}` }, name),
    h(
      "span",
      { class: "event-revision" },
      `revision ${count(event.kv.mod_revision)}`,
      h("time", {}, ` · ${new Date().toLocaleTimeString()}`),
    ),
    shown ? h("pre", { class: "event-value" }, showText(shown)) : null,
  );
}
