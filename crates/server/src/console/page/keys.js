// Keys: the tree, one key with its value, changes of it, and its history.

import { confirmed, dialog, empty, failure, field, form, h, loading, note, quiet, show } from "./dom.js";
import { call, stream } from "./api.js";
import { asText, count, fromBase64, hex, parseBytes, showBytes, size, span, toBase64, utf8 } from "./bytes.js";
import { drawDiff } from "./diff.js";
import { user } from "./session.js";
import { Tree } from "./tree.js";
import { comparable, drawValue, hexDump } from "./value.js";

const VERSIONS_A_PAGE = 10;

const pairOf = (kv) => ({
  key: fromBase64(kv.key),
  value: fromBase64(kv.value),
  created: kv.create_revision ?? "0",
  changed: kv.mod_revision ?? "0",
  version: kv.version ?? "0",
  lease: kv.lease ?? "0",
});

async function read(key, revision, signal) {
  const answer = await call("kv/range", { key: toBase64(key), revision: revision ?? "0" }, { signal });
  return { pair: answer.kvs?.length ? pairOf(answer.kvs[0]) : null, at: answer.header.revision };
}

export function keys(view, { signal, rest, go }) {
  const search = h("input", { type: "search", class: "search", placeholder: "Begins with …", "aria-label": "Keys that begin with", autocomplete: "off", spellcheck: "false", "data-search": true });
  const list = h("div", { class: "tree-box" });
  const detail = h("section", { class: "detail", "aria-label": "Key" });
  const page = { detail, signal, go, refresh: () => begin() };
  const open = (key) => go(`keys/${encodeURIComponent(showBytes(key))}`);
  async function begin() {
    show(list, loading());
    const prefix = parseBytes(search.value);
    const tree = new Tree({ choose: open, user: user(), signal });
    page.tree = tree;
    tree.mark(page.name);
    try {
      const { isEmpty, parts } = await tree.start(prefix);
      if (isEmpty) return show(list, prefix.length ? empty("Nothing begins with that.") : empty("There are no keys yet.", "Make the first with “New key”."));
      show(list, parts ? h("p", { class: "hint" }, "What your roles let you read:") : null, tree.element);
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
      h("section", { class: "side", "aria-label": "All keys" }, h("div", { class: "row" }, search, h("button", { onclick: () => create(page, search.value, open) }, "New key")), list),
      detail,
    ),
  );
  page.name = rest;
  begin();
  page.turn = (next) => {
    page.name = next;
    page.tree?.mark(next);
    view.querySelector(".split").classList.toggle("has-key", Boolean(next));
    if (next) drawKey(page, parseBytes(next));
    else show(detail, empty("No key is chosen.", "Choose one in the list, or type the whole name of one and press Enter."));
  };
  page.turn(rest);
  return page;
}

const heading = (page, key) => [h("button", { class: "back", onclick: () => page.go("keys") }, "‹ All keys"), h("h2", { class: "key-name" }, showBytes(key))];

async function drawKey(page, key) {
  const { detail, signal } = page;
  show(detail, heading(page, key), loading());
  try {
    const { pair, at } = await read(key, null, signal);
    if (!pair) {
      show(detail, heading(page, key), empty("There is no such key now.", "It may have been deleted, or it never was."), h("div", { class: "row" }, h("button", { onclick: () => create(page, showBytes(key), () => drawKey(page, key)) }, "Create it"), h("button", { onclick: () => history(page, key, null, at) }, "What it was before")), h("div", { class: "history" }));
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
    if (error.name !== "AbortError") show(detail, heading(page, key), failure("The key cannot be read", error, () => drawKey(page, key)));
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

// Bytes as a person edits them: text where they are text, else hexadecimal digits.
function editable(bytes) {
  const text = asText(bytes);
  return text !== null && !/[\u0000-\u0008\u000b-\u001f]/.test(text) ? { text, isHex: false } : { text: hexDump(bytes).replace(/^\w+ {2}(.{47}).*$/gm, "$1").trim(), isHex: true };
}

function edited(text, isHex) {
  if (!isHex) return utf8(text);
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("These are not pairs of hexadecimal digits.");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function textArea(value) {
  return h("textarea", { rows: 14, spellcheck: "false", value });
}

// Saves only if nobody has changed the key since it was read.
function edit(page, pair) {
  const { text, isHex } = editable(pair.value);
  let base = pair;
  const area = textArea(text);
  const conflict = h("div", {});
  const save = async () => {
    const bytes = edited(area.value, isHex);
    const key = toBase64(base.key);
    const answer = await call("kv/txn", {
      compare: [{ key, target: "MOD", result: "EQUAL", mod_revision: base.changed }],
      success: [{ request_put: { key, value: toBase64(bytes), ignore_lease: true } }],
      failure: [{ request_range: { key } }],
    });
    if (answer.succeeded) {
      note("Saved.");
      drawKey(page, base.key);
      return true;
    }
    const found = answer.responses?.[0]?.response_range?.kvs?.[0];
    showConflict(found ? pairOf(found) : null, bytes);
    return false;
  };
  const showConflict = (theirs, mine) => {
    if (!theirs) {
      return show(conflict, h("div", { class: "notice bad", role: "alert" }, h("strong", {}, "Nothing was saved: the key has been deleted meanwhile."), h("p", {}, "Copy what you need from here, and create the key anew if it should be there.")));
    }
    const goOn = h("button", { type: "button", onclick: () => ((base = theirs), show(conflict, quiet("Saving now replaces what they wrote."))) }, "Keep my text and go on");
    const take = h("button", { type: "button", onclick: () => ((base = theirs), (area.value = isHex ? editable(theirs.value).text : (asText(theirs.value) ?? area.value)), show(conflict)) }, "Take their text");
    show(
      conflict,
      h(
        "div",
        { class: "notice bad", role: "alert" },
        h("strong", {}, `Nothing was saved: somebody else has changed this key at revision ${count(theirs.changed)}.`),
        h("p", {}, "What is different between theirs (−) and yours (+):"),
        drawDiff(comparable(theirs.value), comparable(mine)),
        h("div", { class: "row" }, goOn, asText(theirs.value) === null && !isHex ? null : take),
      ),
    );
    conflict.scrollIntoView({ block: "nearest" });
  };
  form("Edit the value", [h("p", { class: "key-name" }, showBytes(pair.key)), field(isHex ? "Bytes, in hexadecimal digits" : "Value", area), conflict], "Save", save).classList.add("wide");
}

function create(page, start, done) {
  const name = h("input", { required: true, value: start, spellcheck: "false", autocomplete: "off" });
  const area = textArea("");
  const save = async () => {
    const bytes = parseBytes(name.value);
    const key = toBase64(bytes);
    const answer = await call("kv/txn", {
      compare: [{ key, target: "CREATE", result: "EQUAL", create_revision: "0" }],
      success: [{ request_put: { key, value: toBase64(utf8(area.value)) } }],
    });
    if (!answer.succeeded) throw new Error("There is such a key already. Open it to change it.");
    note("Created.");
    page.refresh();
    done(bytes);
  };
  form("New key", [field("Key", name, "\\x00 stands for a byte, \\\\ for a backslash."), field("Value", area)], "Create", save);
}

function remove(page, pair) {
  const text = [h("p", {}, "The key and its value will be gone:"), h("p", { class: "key-name" }, showBytes(pair.key))];
  confirmed("Delete the key?", text, "Delete", async () => {
    const key = toBase64(pair.key);
    const answer = await call("kv/txn", {
      compare: [{ key, target: "MOD", result: "EQUAL", mod_revision: pair.changed }],
      success: [{ request_delete_range: { key } }],
    });
    if (!answer.succeeded) throw new Error("Somebody else has changed the key meanwhile. Nothing was deleted; close this and look at it again.");
    note("Deleted.");
    page.refresh();
    drawKey(page, pair.key);
  });
}

// The versions of a key, the newest first. Each is found by reading at the revision before the one that came after it,
// up to the compaction. What was before the key was created anew is found in the history of changes.
async function history(page, key, newest, at) {
  const box = page.detail.querySelector(".history");
  const rows = h("ol", { class: "versions" });
  const foot = h("div", {});
  show(box, h("h3", {}, "History"), rows, foot);
  box.scrollIntoView({ block: "nearest" });
  let current = newest;
  const add = (pair) => rows.append(versionRow(page, key, pair, () => read(key, String(BigInt(pair.changed) - 1n), page.signal)));
  const more = async () => {
    show(foot, loading());
    try {
      for (let seen = 0; current && seen < VERSIONS_A_PAGE; seen++) {
        add(current);
        current = current.version === "1" ? null : (await read(key, String(BigInt(current.changed) - 1n), page.signal)).pair;
      }
      show(foot, current ? h("button", { onclick: more }, "Older versions") : rows.children.length ? [quiet("Here the key was created."), h("button", { onclick: before }, "What was before that")] : null);
    } catch (error) {
      const isCompacted = error.message.includes("compacted");
      if (error.name !== "AbortError") show(foot, isCompacted ? quiet("What was before has been compacted: it is not kept any more.") : failure("The history cannot be read", error, more));
    }
  };
  const before = () => earlier(page, key, String(BigInt(rows.lastChild ? rows.lastChild.dataset.revision : at) - (rows.lastChild ? 1n : 0n)), rows, foot);
  if (newest) await more();
  else await before();
}

// Reads the changes of a key up to a revision, oldest first as they come, and puts the newest on top.
async function earlier(page, key, last, rows, foot, from = "1") {
  show(foot, loading("Reading the history of changes"));
  const found = [];
  const controller = new AbortController();
  const stop = () => controller.abort();
  page.signal.addEventListener("abort", stop, { once: true });
  const request = { create_request: { key: toBase64(key), start_revision: from, prev_kv: false } };
  let compacted = null;
  try {
    // The answer to the second request says that all before it has been sent.
    await stream(
      "watch",
      `${JSON.stringify(request)}${JSON.stringify({ progress_request: {} })}`,
      (result) => {
        if (result.compact_revision) compacted = result.compact_revision;
        for (const event of result.events ?? []) {
          if (BigInt(event.kv.mod_revision) <= BigInt(last)) found.push({ ...pairOf(event.kv), isDeletion: event.type === "DELETE" });
        }
        const isPast = BigInt(result.events?.at(-1)?.kv.mod_revision ?? 0) >= BigInt(last);
        if (compacted || isPast || (!result.created && !result.events && BigInt(result.header.revision) >= BigInt(last))) stop();
      },
      { signal: controller.signal },
    );
  } catch (error) {
    if (error.name !== "AbortError") return show(foot, failure("The history cannot be read", error));
  }
  if (page.signal.aborted) return;
  if (compacted && from === "1") return earlier(page, key, last, rows, foot, compacted);
  found.reverse().forEach((pair, at) => rows.append(versionRow(page, key, pair, async () => ({ pair: found[at + 1]?.isDeletion ? null : found[at + 1] ?? null }))));
  const end = from === "1" ? "Nothing was before that." : `What was before revision ${count(from)} has been compacted: it is not kept any more.`;
  show(foot, quiet(found.length ? end : `Nothing was there before. ${from === "1" ? "" : end}`));
}

// `previous` reads the version before.
function versionRow(page, key, pair, previous) {
  const label = pair.isDeletion ? "deleted" : pair.version === "1" ? "created" : `version ${count(pair.version)}`;
  const content = h("div", { class: "version-content" });
  const fold = h("details", {}, h("summary", {}, h("strong", {}, `Revision ${count(pair.changed)}`), ` ${label}`, pair.isDeletion ? "" : h("span", { class: "quiet" }, ` ${size(pair.value.length)}`)), content);
  let isDrawn = false;
  fold.addEventListener("toggle", async () => {
    if (!fold.open || isDrawn) return;
    isDrawn = true;
    show(content, loading());
    const before = await previous().catch((error) => ({ error }));
    const change = before.error
      ? quiet(before.error.message.includes("compacted") ? "The version before has been compacted." : before.error.message)
      : drawDiff(before.pair ? comparable(before.pair.value) : "", pair.isDeletion ? "" : comparable(pair.value));
    show(content, h("h4", {}, before.pair ? "What changed" : "What it was created with"), change, pair.isDeletion ? null : h("button", { onclick: () => dialog(`Revision ${count(pair.changed)}`, () => drawValue(pair.value), "wide") }, "Show the whole value"));
  });
  return h("li", { "data-revision": pair.changed }, fold);
}
