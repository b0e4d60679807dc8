// The history of a key.

import { dialog, failure, h, loading, quiet, show } from "./dom.js";
import { stream } from "./api.js";
import { count, size, toBase64 } from "./bytes.js";
import { drawDiff } from "./diff.js";
import { pairOf, read } from "./pair.js";
import { comparable, drawValue } from "./value.js";

const VERSIONS_A_PAGE = 10;

// The versions of a key, the newest first. Each is found by reading at the revision before the one that came after it,
// up to the compaction. What was before the key was created anew is found in the history of changes.
export async function history(page, key, newest, at) {
  const box = page.detail.querySelector(".history");
  const rows = h("ol", { class: "versions" });
  const foot = h("div", {});
  show(box, h("h3", {}, "History"), rows, foot);
  box.scrollIntoView({ block: "nearest" });
  let current = newest;
  const add = (pair) =>
    rows.append(versionRow(page, key, pair, () => read(key, String(BigInt(pair.changed) - 1n), page.signal)));
  const more = async () => {
    show(foot, loading());
    try {
      for (let seen = 0; current && seen < VERSIONS_A_PAGE; seen++) {
        add(current);
        current =
          current.version === "1" ? null : (await read(key, String(BigInt(current.changed) - 1n), page.signal)).pair;
      }
      show(
        foot,
        current
          ? h("button", { onclick: more }, "Older versions")
          : rows.children.length
            ? [quiet("Here the key was created."), h("button", { onclick: before }, "What was before that")]
            : null,
      );
    } catch (error) {
      const isCompacted = error.message.includes("compacted");
      if (error.name !== "AbortError")
        show(
          foot,
          isCompacted
            ? quiet("What was before has been compacted: it is not kept any more.")
            : failure("The history cannot be read", error, more),
        );
    }
  };
  const before = () =>
    earlier(
      page,
      key,
      String(BigInt(rows.lastChild ? rows.lastChild.dataset.revision : at) - (rows.lastChild ? 1n : 0n)),
      rows,
      foot,
    );
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
          if (BigInt(event.kv.mod_revision) <= BigInt(last))
            found.push({ ...pairOf(event.kv), isDeletion: event.type === "DELETE" });
        }
        const isPast = BigInt(result.events?.at(-1)?.kv.mod_revision ?? 0) >= BigInt(last);
        if (
          compacted ||
          isPast ||
          (!result.created && !result.events && BigInt(result.header.revision) >= BigInt(last))
        )
          stop();
      },
      { signal: controller.signal },
    );
  } catch (error) {
    if (error.name !== "AbortError") return show(foot, failure("The history cannot be read", error));
  }
  if (page.signal.aborted) return;
  if (compacted && from === "1") return earlier(page, key, last, rows, foot, compacted);
  found.reverse().forEach((pair, at) =>
    rows.append(
      versionRow(page, key, pair, async () => ({
        pair: found[at + 1]?.isDeletion ? null : (found[at + 1] ?? null),
      })),
    ),
  );
  const end =
    from === "1"
      ? "Nothing was before that."
      : `What was before revision ${count(from)} has been compacted: it is not kept any more.`;
  show(foot, quiet(found.length ? end : `Nothing was there before. ${from === "1" ? "" : end}`));
}

// `previous` reads the version before.
function versionRow(page, key, pair, previous) {
  const label = pair.isDeletion ? "deleted" : pair.version === "1" ? "created" : `version ${count(pair.version)}`;
  const content = h("div", { class: "version-content" });
  const fold = h(
    "details",
    {},
    h(
      "summary",
      {},
      h("strong", {}, `Revision ${count(pair.changed)}`),
      ` ${label}`,
      pair.isDeletion ? "" : h("span", { class: "quiet" }, ` ${size(pair.value.length)}`),
    ),
    content,
  );
  let isDrawn = false;
  fold.addEventListener("toggle", async () => {
    if (!fold.open || isDrawn) return;
    isDrawn = true;
    show(content, loading());
    const before = await previous().catch((error) => ({ error }));
    const change = before.error
      ? quiet(
          before.error.message.includes("compacted")
            ? "The version before has been compacted."
            : before.error.message,
        )
      : drawDiff(before.pair ? comparable(before.pair.value) : "", pair.isDeletion ? "" : comparable(pair.value));
    show(
      content,
      h("h4", {}, before.pair ? "What changed" : "What it was created with"),
      change,
      pair.isDeletion
        ? null
        : h(
            "button",
            { onclick: () => dialog(`Revision ${count(pair.changed)}`, () => drawValue(pair.value), "wide") },
            "Show the whole value",
          ),
    );
  });
  return h("li", { "data-revision": pair.changed }, fold);
}
