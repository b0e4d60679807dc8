// Leases: how long each has left, which keys end with it, and an end before its time.

import { confirmed, empty, failure, h, loading, note, show } from "./dom.js";
import { call, poll } from "./api.js";
import { count, fromBase64, hex, plural, showBytes, span } from "./bytes.js";

// Leases that are asked about at once: each is a call.
const PAGE = 50;
const KEYS_SHOWN = 100;

export function leases(view, { signal }) {
  const box = h("div", {});
  let [ids, shown] = [null, PAGE];
  const rows = new Map();
  const body = h("tbody", {});
  const table = h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Lease", "Left", "Granted", "Keys", ""].map((title) =>
            h(
              "th",
              { scope: "col", class: title === "Granted" ? "wide-only" : null },
              title || h("span", { class: "unseen" }, "Actions"),
            ),
          ),
        ),
      ),
      body,
    ),
  );
  const foot = h("div", {});
  const refresh = async () => {
    try {
      const answer = await call("lease/leases", {}, { signal });
      ids = (answer.leases ?? []).map((lease) => lease.ID);
      const asked = ids.slice(0, shown);
      const known = await Promise.all(
        asked.map((ID) => call("lease/timetolive", { ID, keys: true }, { signal }).catch((error) => ({ ID, error }))),
      );
      draw(known);
    } catch (error) {
      if (error.name !== "AbortError") show(box, failure("The leases cannot be listed", error, refresh));
    }
  };
  const draw = (known) => {
    if (!ids.length)
      return show(box, empty("There are no leases.", "Keys that should vanish by themselves are put with a lease."));
    if (!table.isConnected) show(box, table, foot);
    const still = new Set(known.map(({ ID }) => ID));
    for (const [id, row] of rows) if (!still.has(id)) (row.element.remove(), rows.delete(id));
    known.sort((a, b) => Number(a.TTL ?? 0) - Number(b.TTL ?? 0));
    known.forEach((lease, at) => {
      const row = rows.get(lease.ID) ?? leaseRow(lease.ID, refresh);
      rows.set(lease.ID, row);
      row.update(lease);
      // Only what is out of place is moved: the focus stays where it is.
      if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
    });
    const more = ids.length - known.length;
    show(
      foot,
      h("p", { class: "hint" }, plural(ids.length, "lease"), ". "),
      more > 0
        ? h("button", { onclick: () => ((shown += PAGE), refresh()) }, `Show ${Math.min(PAGE, more)} more`)
        : null,
    );
  };
  show(view, h("h1", {}, "Leases"), box);
  show(box, loading());
  poll(3000, signal, refresh);
}

function leaseRow(id, refresh) {
  const [left, granted, keysOf] = [h("td", { class: "whole" }), h("td", { class: "whole wide-only" }), h("td", {})];
  let lease = {};
  const revoke = () =>
    confirmed(
      "End this lease?",
      [
        h("p", {}, `Lease ${hex(id)}. ${plural(lease.keys?.length ?? 0, "key")} will be deleted with it:`),
        h("ul", { class: "plain" }, keyItems(lease, 12)),
      ],
      "End the lease",
      async () => {
        await call("lease/revoke", { ID: id });
        note("The lease has ended.");
        refresh();
      },
    );
  const list = h("ul", { class: "plain" });
  const fold = h("details", {}, h("summary", {}), list);
  const element = h(
    "tr",
    {},
    h("th", { scope: "row", class: "mono" }, hex(id)),
    left,
    granted,
    keysOf,
    h("td", { class: "end" }, h("button", { class: "danger", onclick: revoke }, "End")),
  );
  const update = (now) => {
    lease = now;
    if (now.error) return show(left, now.error.isDenied ? "not for your user" : now.error.message);
    show(left, Number(now.TTL ?? 0) < 0 ? "ended" : span(now.TTL ?? 0));
    show(granted, span(now.grantedTTL ?? 0));
    const number = now.keys?.length ?? 0;
    fold.firstChild.textContent = plural(number, "key");
    if (number && fold.parentElement !== keysOf) show(keysOf, fold);
    else if (!number) show(keysOf, "none");
    show(list, keyItems(now, KEYS_SHOWN));
  };
  return { element, update };
}

function keyItems(lease, most) {
  const keys = (lease.keys ?? []).map(fromBase64).map(showBytes);
  const items = keys
    .slice(0, most)
    .map((key) => h("li", {}, h("a", { class: "mono", href: `#/keys/${encodeURIComponent(key)}` }, key)));
  return keys.length > most
    ? [...items, h("li", { class: "quiet" }, `and ${count(keys.length - most)} more`)]
    : items;
}
