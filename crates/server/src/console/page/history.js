// The history of a key.

import { dialog, failure, h, loading, quiet, show } from "./dom.js";
import { ApiError, stream } from "./api.js";
import { count, size, span, toBase64 } from "./bytes.js";
import { drawDiff } from "./diff.js";
import { pairOf, read } from "./pair.js";
import { comparable, drawValue } from "./value.js";
import { ended } from "./watch.js";

const VERSIONS_A_PAGE = 10;

// Changes of one key that are shown at most.
const FOUND_MAX = 1000;

// How long the next change of a key that is gone is waited for.
const PATIENCE_MS = 3000;

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
        // After a failure it stands there already.
        if (rows.lastChild?.dataset.revision !== current.changed) add(current);
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
  const before = () => {
    const oldest = rows.lastChild?.dataset.revision;
    // The change that created the oldest version that is shown will come, and all before it has come then.
    const search = oldest ? { last: BigInt(oldest) - 1n } : { last: BigInt(at), patience: PATIENCE_MS };
    return earlier(page, key, search, rows, foot);
  };
  if (newest) await more();
  else await before();
}

// Puts the changes of a key up to the revision `search.last` below the versions that are shown.
async function earlier(page, key, search, rows, foot) {
  show(foot, loading("Reading the history of changes"));
  let result;
  try {
    result = await changes(page, key, { from: "1", ...search });
    // Compactions go on while it is read.
    while (result.compacted) result = await changes(page, key, { from: result.compacted, ...search });
  } catch (error) {
    const retry = () => earlier(page, key, search, rows, foot);
    if (error.name !== "AbortError") show(foot, failure("The history cannot be read", error, retry));
    return;
  }
  const { found, from, isComplete, isCut } = result;
  found.reverse().forEach((pair, at) => {
    const previous = found[at + 1];
    rows.append(
      versionRow(page, key, pair, async () => ({ pair: previous && !previous.isDeletion ? previous : null })),
    );
  });
  const longer = { ...search, patience: search.patience * 4 };
  const again = () => (found.forEach(() => rows.lastChild.remove()), earlier(page, key, longer, rows, foot));
  const end =
    from === "1"
      ? "Nothing was before that."
      : `What was before revision ${count(from)} has been compacted: it is not kept any more.`;
  show(
    foot,
    isCut
      ? quiet(`These are the last ${count(FOUND_MAX)} of its changes.`)
      : found.length || isComplete
        ? quiet(end)
        : null,
    isComplete
      ? null
      : [
          quiet(
            `${found.length ? "No more was" : "Nothing was"} found within ${span(search.patience / 1000)}. The member may still be searching.`,
          ),
          h("button", { onclick: again }, "Search longer"),
        ],
  );
}

// Reads the changes of a key from one revision up to another, the oldest first. Without `patience` a change after `last`
// is known to come. With it the reading ends when the member says that it has sent all, which it does only if it has
// found all by the time it is asked, or when nothing has come for so many milliseconds.
async function changes(page, key, { from, last, patience }) {
  const [found, controller] = [[], new AbortController()];
  let [compacted, isComplete, isCut, timer] = [null, false, false, null];
  const stop = () => controller.abort();
  const end = () => ((isComplete = true), stop());
  const wait = () => {
    clearTimeout(timer);
    if (patience) timer = setTimeout(stop, patience);
  };
  page.signal.addEventListener("abort", stop, { once: true });
  const take = (result) => {
    wait();
    if (result.compact_revision) {
      compacted = result.compact_revision;
      return stop();
    }
    if (result.canceled) throw ended(result.cancel_reason ?? "");
    const events = result.events ?? [];
    for (const event of events) {
      if (BigInt(event.kv.mod_revision) <= last)
        found.push({ ...pairOf(event.kv), isDeletion: event.type === "DELETE" });
    }
    if (found.length > FOUND_MAX) isCut = Boolean(found.splice(0, found.length - FOUND_MAX));
    const isProgress = !result.created && !events.length && BigInt(result.header.revision) >= last;
    if (isProgress || BigInt(events.at(-1)?.kv.mod_revision ?? 0) >= last) end();
  };
  const requests = [{ create_request: { key: toBase64(key), start_revision: from } }, { progress_request: {} }];
  wait();
  try {
    await stream("watch", requests.map((request) => JSON.stringify(request)).join(""), take, {
      signal: controller.signal,
    });
    // Nobody here has ended it.
    if (!controller.signal.aborted) throw new ApiError(14, "The connection was lost.");
  } catch (error) {
    if (error.name !== "AbortError" || page.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
    page.signal.removeEventListener("abort", stop);
  }
  return { found, from, compacted, isComplete, isCut };
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
