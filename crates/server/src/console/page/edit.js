// Changes of a key: each is made only if the key is still as it was read.

import { confirmed, field, form, h, note, quiet, show } from "./dom.js";
import { call } from "./api.js";
import { asText, count, parseBytes, showBytes, toBase64, utf8 } from "./bytes.js";
import { drawDiff } from "./diff.js";
import { pairOf } from "./pair.js";
import { comparable, hexDump } from "./value.js";

// Bytes as a person edits them: text where they are text, else hexadecimal digits.
function editable(bytes) {
  const text = asText(bytes);
  return text !== null && !/[\u0000-\u0008\u000b-\u001f]/.test(text)
    ? { text, isHex: false }
    : {
        text: hexDump(bytes)
          .replace(/^\w+ {2}(.{47}).*$/gm, "$1")
          .trim(),
        isHex: true,
      };
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
export function edit(page, pair) {
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
      page.draw(base.key);
      return true;
    }
    const found = answer.responses?.[0]?.response_range?.kvs?.[0];
    showConflict(found ? pairOf(found) : null, bytes);
    return false;
  };
  const showConflict = (theirs, mine) => {
    if (!theirs) {
      return show(
        conflict,
        h(
          "div",
          { class: "notice bad", role: "alert" },
          h("strong", {}, "Nothing was saved: the key has been deleted meanwhile."),
          h("p", {}, "Copy what you need from here, and create the key anew if it should be there."),
        ),
      );
    }
    const goOn = h(
      "button",
      {
        type: "button",
        onclick: () => ((base = theirs), show(conflict, quiet("Saving now replaces what they wrote."))),
      },
      "Keep my text and go on",
    );
    const take = h(
      "button",
      {
        type: "button",
        // Theirs may be bytes where ours was text, or the other way: it is edited from the start.
        onclick: () => (box.close(), edit(page, theirs)),
      },
      "Take their text",
    );
    show(
      conflict,
      h(
        "div",
        { class: "notice bad", role: "alert" },
        h(
          "strong",
          {},
          `Nothing was saved: somebody else has changed this key at revision ${count(theirs.changed)}.`,
        ),
        h("p", {}, "What is different between theirs (−) and yours (+):"),
        drawDiff(comparable(theirs.value), comparable(mine)),
        h("div", { class: "row" }, goOn, take),
      ),
    );
    conflict.scrollIntoView({ block: "nearest" });
  };
  const box = form(
    "Edit the value",
    [
      h("p", { class: "key-name" }, showBytes(pair.key)),
      field(isHex ? "Bytes, in hexadecimal digits" : "Value", area),
      conflict,
    ],
    "Save",
    save,
  );
  box.classList.add("wide");
}

// Makes a key, if there is none of that name.
export function create(page, start, done) {
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
  form(
    "New key",
    [field("Key", name, "\\x00 stands for a byte, \\\\ for a backslash."), field("Value", area)],
    "Create",
    save,
  );
}

// Deletes a key after a question, if it is still as it was read.
export function remove(page, pair) {
  const text = [
    h("p", {}, "The key and its value will be gone:"),
    h("p", { class: "key-name" }, showBytes(pair.key)),
  ];
  confirmed("Delete the key?", text, "Delete", async () => {
    const key = toBase64(pair.key);
    const answer = await call("kv/txn", {
      compare: [{ key, target: "MOD", result: "EQUAL", mod_revision: pair.changed }],
      success: [{ request_delete_range: { key } }],
    });
    if (!answer.succeeded)
      throw new Error(
        "Somebody else has changed the key meanwhile. Nothing was deleted; close this and look at it again.",
      );
    note("Deleted.");
    page.refresh();
    page.draw(pair.key);
  });
}
