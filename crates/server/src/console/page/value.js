// A value in forms that people read: JSON, text, an object of Kubernetes, bytes.

import { h, quiet } from "./dom.js";
import { asText, plural, showText, size } from "./bytes.js";

// More than this is shown only when it is asked for.
const CHARACTERS_MAX = 200_000;
const HEX_BYTES_MAX = 16_384;

// Deeper than this and the blanks before each line would be most of what is shown.
const DEPTH_MAX = 200;

// Returns JSON with each member on a line. Literals stay as they were written: a number of 64 bits is none of
// JavaScript's, and a name that stands twice stays twice. Returns null when the text is not JSON, or when it
// would be too long or too deep: a few bytes of brackets in brackets make megabytes of blanks.
function prettyJson(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let [out, depth] = ["", 0];
  const newline = () => `\n${"  ".repeat(depth)}`;
  for (const [at, token] of tokens.entries()) {
    if (depth > DEPTH_MAX || out.length > CHARACTERS_MAX) return null;
    const next = tokens[at + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + (next === "}" || next === "]" ? "" : newline());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out += (tokens[at - 1] === "{" || tokens[at - 1] === "[" ? "" : newline()) + token;
    } else if (token === ",") out += token + newline();
    else out += token === ":" ? ": " : token;
  }
  return out.length > CHARACTERS_MAX ? null : out;
}

// Returns bytes as lines of offset, hexadecimal digits and characters.
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Array.from(bytes.subarray(at, at + 16));
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const characters = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${digits.padEnd(47)}  ${characters}`);
  }
  return lines.join("\n");
}

const MAGIC = [0x6b, 0x38, 0x73, 0];

// Returns the fields of a protobuf message as [number, value], or null when the bytes are none.
function message(bytes) {
  const fields = [];
  let at = 0;
  const varint = () => {
    let [number, shift] = [0n, 0n];
    for (;;) {
      if (at >= bytes.length || shift > 63n) throw new RangeError();
      const byte = bytes[at++];
      number |= BigInt(byte & 127) << shift;
      if (byte < 128) return number;
      shift += 7n;
    }
  };
  const take = (length) => {
    if (at + length > bytes.length) throw new RangeError();
    at += length;
    return bytes.subarray(at - length, at);
  };
  try {
    while (at < bytes.length) {
      const tag = varint();
      const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
      if (number < 1 || number > 0x1fffffff) return null;
      if (wire === 0) fields.push([number, varint()]);
      else if (wire === 1) fields.push([number, `0x${hexDigits(take(8).slice().reverse())}`]);
      else if (wire === 2) fields.push([number, take(Number(varint()))]);
      else if (wire === 5) fields.push([number, `0x${hexDigits(take(4).slice().reverse())}`]);
      else return null;
    }
  } catch {
    return null;
  }
  return fields;
}

const hexDigits = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const first = (fields, number) => fields?.find(([found]) => found === number)?.[1];
const text = (fields, number) => {
  const bytes = first(fields, number);
  return bytes instanceof Uint8Array ? (asText(bytes) ?? "") : "";
};

// The fields of the metadata of every object of Kubernetes, by number.
const METADATA = {
  1: "name",
  2: "generateName",
  3: "namespace",
  5: "uid",
  6: "resourceVersion",
  7: "generation",
  8: "creationTimestamp",
  11: "labels",
  12: "annotations",
  13: "ownerReferences",
  14: "finalizers",
  17: "managedFields",
};

// Returns what can be told of an object of Kubernetes in its binary form, or null when it is none.
function kubernetes(bytes) {
  if (!MAGIC.every((byte, at) => bytes[at] === byte)) return null;
  const unknown = message(bytes.subarray(4));
  if (!unknown) return null;
  const [type, raw] = [message(first(unknown, 1) ?? new Uint8Array()), first(unknown, 2)];
  const object = raw instanceof Uint8Array ? message(raw) : null;
  const metadata = object && first(object, 1) instanceof Uint8Array ? message(first(object, 1)) : null;
  return {
    apiVersion: text(type, 1),
    kind: text(type, 2),
    namespace: text(metadata, 3),
    name: text(metadata, 1),
    lines: [
      ...(metadata ? ["metadata:", ...describe(metadata, 1, METADATA)] : []),
      ...describe(
        (object ?? []).filter(([number]) => number !== 1),
        0,
        {},
      ),
    ].join("\n"),
    isRead: object !== null,
  };
}

function describe(fields, depth, names) {
  const pad = "  ".repeat(depth);
  return fields.flatMap(([number, value]) => {
    const label = `${pad}${names[number] ?? `field ${number}`}:`;
    if (!(value instanceof Uint8Array)) return [`${label} ${value}`];
    if (value.length === 0) return [`${label} ""`];
    const inner = depth < 12 ? message(value) : null;
    if (names[number] === "creationTimestamp" && inner)
      return [`${label} ${new Date(Number(first(inner, 1) ?? 0) * 1000).toISOString()}`];
    if ((names[number] === "labels" || names[number] === "annotations") && inner)
      return [label, `${pad}  ${text(inner, 1)}: ${showText(text(inner, 2))}`];
    const string = asText(value);
    // A short text may look like a message; what reads as text is taken for one.
    if (string !== null && !/[\u0000-\u0008\u000e-\u001f]/.test(string))
      return [`${label} ${JSON.stringify(string)}`];
    if (inner) return [label, ...describe(inner, depth + 1, {})];
    return [
      `${label} ${plural(value.length, "byte")}: ${hexDigits(value.subarray(0, 24))}${value.length > 24 ? "…" : ""}`,
    ];
  });
}

// Returns a value as lines that can be compared with those of another.
export function comparable(bytes) {
  const object = kubernetes(bytes);
  if (object) return `${object.apiVersion} ${object.kind}\n${object.lines}`;
  const string = asText(bytes);
  return string === null ? hexDump(bytes) : (prettyJson(string) ?? string);
}

function code(content, label) {
  const shown = h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label });
  shown.textContent = showText(content.slice(0, CHARACTERS_MAX));
  if (content.length <= CHARACTERS_MAX) return shown;
  const more = h("button", {}, "Show all of it");
  const rest = h("p", { class: "hint" }, `The first ${CHARACTERS_MAX} of ${content.length} characters. `, more);
  more.addEventListener("click", () => {
    shown.textContent = showText(content);
    rest.remove();
  });
  return [shown, rest];
}

function drawKubernetes(object) {
  const facts = [
    ["API version", object.apiVersion],
    ["Kind", object.kind],
    ["Namespace", object.namespace],
    ["Name", object.name],
  ];
  return [
    h(
      "dl",
      { class: "facts" },
      facts
        .filter(([, value]) => value)
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, showText(value)))),
    ),
    code(object.lines, "Fields of the object"),
    quiet(
      object.isRead
        ? "The value has numbers for its fields, not names. Those of the metadata are known here; the others are shown by number, as text where they read as text."
        : "What is in the object is packed in a form that is not read here.",
    ),
  ];
}

function drawHex(bytes) {
  const part = bytes.subarray(0, HEX_BYTES_MAX);
  return [
    code(hexDump(part), "Bytes of the value"),
    part.length < bytes.length ? quiet(`The first ${size(part.length)} of ${size(bytes.length)}.`) : null,
  ];
}

// Returns the forms in which a value can be shown, the best first: [name, draw].
function forms(bytes) {
  const [object, string] = [kubernetes(bytes), asText(bytes)];
  const json = string === null ? null : prettyJson(string);
  return [
    object && ["Kubernetes", () => drawKubernetes(object)],
    json !== null && ["JSON", () => code(json, "The value as JSON")],
    string !== null && [
      "Text",
      () => (string === "" ? quiet("The value is empty.") : code(string, "The value as text")),
    ],
    ["Hex", () => (bytes.length ? drawHex(bytes) : quiet("The value is empty."))],
  ].filter(Boolean);
}

// Draws a value with a tab for each form.
export function drawValue(bytes) {
  const all = forms(bytes);
  const panel = h("div", { role: "tabpanel", class: "panel" });
  const tabs = all.map(([name]) => h("button", { role: "tab", "aria-selected": "false", tabindex: "-1" }, name));
  const choose = (at) => {
    tabs.forEach((tab, other) => {
      tab.setAttribute("aria-selected", String(other === at));
      tab.tabIndex = other === at ? 0 : -1;
    });
    panel.setAttribute("aria-label", all[at][0]);
    panel.replaceChildren(...[all[at][1]()].flat().filter(Boolean));
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(at));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (at + step + tabs.length) % tabs.length;
      choose(next);
      tabs[next].focus();
    });
  });
  choose(0);
  return h(
    "div",
    { class: "value" },
    h("div", { role: "tablist", "aria-label": "Form of the value", class: "tabs" }, tabs),
    panel,
  );
}
