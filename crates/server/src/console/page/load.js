// What the member does: calls, times, disk, and the parts of the store that are written most.

import { empty, failure, h, quiet, show } from "./dom.js";
import { metrics as read, poll } from "./api.js";
import { chart } from "./chart.js";
import { fromBase64, rangeOf, showBytes } from "./bytes.js";
import { parse, quantile, sum, sumBy } from "./metrics.js";
import { follow } from "./watch.js";

const EVERY_MS = 2000;
// Three minutes.
const POINTS = 90;
const METHODS_SHOWN = 6;

const seconds = (value) =>
  value < 0.001
    ? `${Math.round(value * 1e6)} µs`
    : value < 1
      ? `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`
      : `${value.toFixed(1)} s`;
const rate = (value) => `${value < 10 && value % 1 ? value.toFixed(1) : Math.round(value).toLocaleString("en")}/s`;
const whole = (value) => Math.round(value).toLocaleString("en");
const isUnary = (labels) => labels.grpc_type === "unary";

export function load(view, { signal }) {
  const make = (title, series, format, hint) => chart({ title, series, format, hint, points: POINTS });
  const charts = {
    calls: make("Calls", [""], rate, "The calls of this page are among them."),
    failed: make("Calls that failed", [""], rate),
    time: make("Time of a call", ["median", "p99"], seconds),
    fsync: make("Log to disk", ["median", "p99"], seconds, "A disk in good health takes less than 10 ms."),
    commit: make("Store to disk", ["median", "p99"], seconds, "Behind the writes: nobody waits for it."),
    changes: make("Changes applied", [""], rate),
    waiting: make("Changes that wait", [""], whole, "Many for a long time: the cluster cannot keep up."),
    keys: make("Keys", [""], whole),
    watchers: make("Watchers", [""], whole),
  };
  const notice = h("div", {});
  const timeNote = h("div", {});
  const methods = h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Call", "Now", "Since the start"].map((title, at) =>
          h("th", { scope: "col", class: at ? "number" : "" }, title),
        ),
      ),
    ),
    h("tbody", {}),
  );
  show(
    view,
    h("h1", {}, "Load"),
    h(
      "p",
      { class: "hint" },
      "Of the member that serves this page, while this page is open. The median is the time within which half of them were done; one of a hundred took longer than p99.",
    ),
    notice,
    h(
      "div",
      { class: "charts" },
      Object.values(charts).map(({ element }) => element),
    ),
    timeNote,
    h(
      "div",
      { class: "columns" },
      h("section", {}, h("h2", {}, "Calls that are made most"), h("div", { class: "scroll" }, methods)),
      h("section", {}, h("h2", {}, "Busy parts of the store"), busy(signal)),
    ),
  );
  let before = null;
  poll(EVERY_MS, signal, async () => {
    let now;
    try {
      now = { samples: parse(await read(signal)), at: performance.now() };
    } catch (error) {
      if (error.name !== "AbortError") show(notice, failure("The metrics cannot be read", error));
      before = null;
      return;
    }
    notice.replaceChildren();
    draw(charts, methods.tBodies[0], before, now);
    const hasTimes = now.samples.has("grpc_server_handling_seconds_bucket");
    charts.time.element.hidden = !hasTimes;
    show(
      timeNote,
      hasTimes ? null : quiet("This member does not measure how long calls take; with --metrics=extensive it does."),
    );
    before = now;
  });
}

function draw(charts, body, before, now) {
  const [old, samples] = [before?.samples, now.samples];
  charts.keys.add(sum(samples, "etcd_debugging_mvcc_keys_total"));
  charts.watchers.add(sum(samples, "etcd_debugging_mvcc_watcher_total"));
  charts.waiting.add(sum(samples, "etcd_server_proposals_pending"));
  if (!old) return;
  const elapsed = (now.at - before.at) / 1000;
  // A counter that went down belongs to a member that has been started anew.
  const perSecond = (name, fits) => Math.max(0, sum(samples, name, fits) - sum(old, name, fits)) / elapsed;
  const times = (name, fits) => [0.5, 0.99].map((q) => quantile(old, samples, name, q, fits));
  charts.calls.add(perSecond("grpc_server_started_total"));
  charts.failed.add(
    perSecond("grpc_server_handled_total", (labels) => !["OK", "Canceled"].includes(labels.grpc_code)),
  );
  charts.changes.add(perSecond("etcd_server_proposals_applied_total"));
  charts.time.add(...times("grpc_server_handling_seconds", isUnary));
  charts.fsync.add(...times("etcd_disk_wal_fsync_duration_seconds"));
  charts.commit.add(...times("etcd_disk_backend_commit_duration_seconds"));
  const [was, is] = [old, samples].map((of) => sumBy(of, "grpc_server_started_total", "grpc_method"));
  const rows = Array.from(is, ([name, total]) => ({
    name,
    total,
    rate: Math.max(0, total - (was.get(name) ?? 0)) / elapsed,
  }));
  rows.sort((a, b) => b.rate - a.rate || b.total - a.total);
  show(
    body,
    rows
      .filter(({ total }) => total > 0)
      .slice(0, METHODS_SHOWN)
      .map((row) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, row.name),
          h("td", { class: "number" }, rate(row.rate)),
          h("td", { class: "number" }, whole(row.total)),
        ),
      ),
  );
}

// Counts changes by what their keys begin with. That takes a watch of everything, so it begins when somebody asks.
const PREFIXES_MAX = 2000;
const HALF_LIFE_S = 20;

function busy(signal) {
  const box = h("div", {});
  const start = () => {
    const heat = new Map();
    let state = "live";
    let cooledAt = performance.now();
    // Lets what was counted weigh less, by the time that has passed: nothing is drawn while the page is not seen. Not for
    // every burst of changes: half a second makes no difference.
    const cool = () => {
      const elapsed = (performance.now() - cooledAt) / 1000;
      if (elapsed < 0.5) return;
      cooledAt += elapsed * 1000;
      const cooling = 0.5 ** (elapsed / HALF_LIFE_S);
      for (const [prefix, weight] of heat)
        weight * cooling < 0.05 ? heat.delete(prefix) : heat.set(prefix, weight * cooling);
    };
    const depth = h(
      "select",
      {},
      [1, 2, 3, 4].map((number) => h("option", { value: number }, String(number))),
    );
    depth.value = "2";
    depth.addEventListener("change", () => heat.clear());
    const list = h("ol", { class: "bars" });
    const on = {
      events: (events) => {
        cool();
        for (const event of events) {
          const parts = showBytes(fromBase64(event.kv.key)).split(/(?<=\/)/);
          const skip = parts[0] === "/" ? 1 : 0;
          const prefix = parts.slice(0, Number(depth.value) + skip).join("");
          if (heat.has(prefix) || heat.size < PREFIXES_MAX) heat.set(prefix, (heat.get(prefix) ?? 0) + 1);
        }
      },
      state: (now, error) => (state = now === "failed" ? error : now),
    };
    follow(rangeOf(new Uint8Array()), on, signal);
    show(box, h("label", { class: "row" }, "Steps of a name ", depth), list);
    poll(EVERY_MS, signal, async () => {
      if (state instanceof Error) return show(list, h("li", {}, failure("The changes cannot be watched", state)));
      cool();
      const top = Array.from(heat)
        .sort(([, a], [, b]) => b - a)
        .slice(0, 8);
      // The weight of a rate that stays the same is that rate times this.
      const scale = HALF_LIFE_S / Math.LN2;
      const rows = top
        .filter(([, weight]) => weight > 0.5)
        .map(([prefix, weight]) => {
          const bar = h("span", { class: "bar" });
          bar.style.width = `${(100 * weight) / top[0][1]}%`;
          return h(
            "li",
            {},
            bar,
            h("span", { class: "mono" }, prefix),
            h("span", { class: "number" }, rate(weight / scale)),
          );
        });
      show(
        list,
        rows.length
          ? rows
          : h(
              "li",
              { class: "quiet" },
              state === "lost" ? "The connection is lost; it is tried again." : "Nothing is being written.",
            ),
      );
    });
  };
  show(
    box,
    empty(
      "Which keys change most?",
      "Counts changes by how their names begin. For this the page watches all keys, which takes the right to read all of them.",
      h("br", {}),
      h("button", { onclick: start }, "Count them"),
    ),
  );
  return box;
}
