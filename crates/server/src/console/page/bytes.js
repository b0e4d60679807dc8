// Bytes: base64 of the gateway, keys as text and back, prefixes.

export function fromBase64(text) {
  const binary = atob(text ?? "");
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

export function toBase64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(binary);
}

export const utf8 = (text) => new TextEncoder().encode(text);

// Returns the text that bytes are, or null when they are not UTF-8.
export function asText(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

// What would not be seen, or would make other text look different: controls, directions, blanks of no width.
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;
const hex2 = (byte) => byte.toString(16).padStart(2, "0");

// Returns bytes as text in which every byte can be told: \xNN for what is not text, \\ for a backslash.
export function showBytes(bytes) {
  const text = asText(bytes);
  if (text === null)
    return Array.from(bytes, (byte) =>
      byte < 0x20 || byte > 0x7e ? `\\x${hex2(byte)}` : byte === 0x5c ? "\\\\" : String.fromCharCode(byte),
    ).join("");
  return Array.from(text, (char) =>
    char === "\\" ? "\\\\" : HIDDEN.test(char) ? Array.from(utf8(char), (byte) => `\\x${hex2(byte)}`).join("") : char,
  ).join("");
}

// Returns text as it is, with what would not be seen made visible.
export function showText(text) {
  return Array.from(text, (char) =>
    HIDDEN.test(char) && char !== "\n" && char !== "\t"
      ? `␛${char.codePointAt(0).toString(16).padStart(4, "0")}`
      : char,
  ).join("");
}

// Undoes showBytes: what a person types as a key.
export function parseBytes(text) {
  const parts = text.split(/(\\x[0-9a-fA-F]{2}|\\\\)/);
  const pieces = parts.map((part) =>
    /^\\x[0-9a-fA-F]{2}$/.test(part) ? [parseInt(part.slice(2), 16)] : utf8(part === "\\\\" ? "\\" : part),
  );
  return Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)));
}

export const ALL = new Uint8Array([0]);

// Returns the end of the range of keys that begin with `prefix`; one zero byte when there is no end.
export function prefixEnd(prefix) {
  for (let at = prefix.length - 1; at >= 0; at--) {
    if (prefix[at] < 255) {
      const end = prefix.slice(0, at + 1);
      end[at] += 1;
      return end;
    }
  }
  return ALL;
}

// Returns the range of all that begins with `prefix`, as fields of a request.
export function rangeOf(prefix) {
  return { key: toBase64(prefix.length ? prefix : ALL), range_end: toBase64(prefixEnd(prefix)) };
}

export function compare(a, b) {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return a[at] - b[at];
  return a.length - b.length;
}

export const same = (a, b) => compare(a, b) === 0;
export const startsWith = (bytes, prefix) =>
  bytes.length >= prefix.length && same(bytes.subarray(0, prefix.length), prefix);

export function concat(...pieces) {
  return Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)));
}

// Returns a size for people: 1.4 MiB.
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let number = Number(bytes);
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

// Returns a number of the API in hexadecimal: ids of members and leases.
export const hex = (id) => BigInt.asUintN(64, BigInt(id ?? 0)).toString(16);
export const count = (number) => BigInt(number ?? 0).toLocaleString("en");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : many}`;

// Returns a time for people: 3 min 20 s.
export function span(seconds) {
  let rest = Math.max(0, Math.round(Number(seconds)));
  const parts = [];
  for (const [unit, length] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    if (rest >= length || (unit === "s" && !parts.length)) parts.push(`${Math.floor(rest / length)} ${unit}`);
    rest %= length;
  }
  return parts.slice(0, 2).join(" ");
}
