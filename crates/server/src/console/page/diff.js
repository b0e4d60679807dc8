// What differs between two texts, line by line.

import { h } from "./dom.js";
import { plural, showText } from "./bytes.js";

// More cells than this and the middle is shown as replaced whole: the table of the longest common subsequence would
// hold up the page.
const CELLS_MAX = 4_000_000;

// Lines that are drawn at most: each is an element of the page.
const ROWS_MAX = 2000;

// How many equal lines stand around a change.
const AROUND = 3;

// Returns [kind, line] in order; kind is " ", "-" or "+".
export function diff(before, after) {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end += 1;
  const same = (lines) => lines.map((line) => [" ", line]);
  return [
    ...same(a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(a.slice(a.length - end)),
  ];
}

function middle(a, b) {
  const [gone, come] = [a.map((line) => ["-", line]), b.map((line) => ["+", line])];
  if (!a.length || !b.length || a.length * b.length > CELLS_MAX) return [...gone, ...come];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = a[i] === b[j] ? common[at + width + 1] + 1 : Math.max(common[at + width], common[at + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1]))
      lines.push(gone[i++]);
    else lines.push(come[j++]);
  }
  return lines;
}

const NAMES = { "-": "removed", "+": "added" };

// Draws the difference, with runs of equal lines folded.
export function drawDiff(before, after) {
  if (before === after) return h("p", { class: "quiet" }, "The two are the same.");
  const lines = diff(before, after);
  const isNear = lines.map(() => false);
  lines.forEach(([kind], at) => {
    if (kind === " ") return;
    for (let near = Math.max(0, at - AROUND); near <= Math.min(lines.length - 1, at + AROUND); near++)
      isNear[near] = true;
  });
  const rows = [];
  for (let at = 0; at < lines.length; at++) {
    if (rows.length >= ROWS_MAX) {
      rows.push(h("div", { class: "diff-fold" }, `… ${plural(lines.length - at, "more line")} not shown`));
      break;
    }
    if (!isNear[at]) {
      const from = at;
      while (at + 1 < lines.length && !isNear[at + 1]) at += 1;
      rows.push(h("div", { class: "diff-fold" }, `… ${at - from + 1} equal lines`));
      continue;
    }
    const [kind, line] = lines[at];
    const name = NAMES[kind] ? h("span", { class: "unseen" }, NAMES[kind], " ") : null;
    rows.push(
      h(
        "div",
        { class: `diff-line ${NAMES[kind] ?? ""}` },
        name,
        h("span", { class: "diff-mark", "aria-hidden": "true" }, kind),
        showText(line) || " ",
      ),
    );
  }
  return h("div", { class: "code diff", tabindex: "0", role: "region", "aria-label": "Differences" }, rows);
}
