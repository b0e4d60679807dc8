// The cluster: its members, who leads, who is behind, what is wrong.

import { failure, h, loading, show, svg } from "./dom.js";
import { call, poll } from "./api.js";
import { count, hex, plural, showText, size } from "./bytes.js";

const EVERY_MS = 3000;
const OTHERS_WITHIN_MS = 2500;
// A follower that is so many entries behind is shown as being behind; fewer are on their way in any busy cluster.
const BEHIND = 500n;

// Addresses that the policy of this page forbids, as it was when the page was loaded.
const forbidden = new Set();
document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
  if (effectiveDirective === "connect-src" && URL.canParse(blockedURI)) forbidden.add(new URL(blockedURI).origin);
});

const isForbidden = (base) => URL.canParse(base) && forbidden.has(new URL(base).origin);

// Whether a member has an address that it did not have when the page was loaded. One that no policy can name (of IPv6, in
// figures) stays forbidden.
const isNewHere = (member) =>
  !member.status && member.clientURLs?.some((url) => isForbidden(url) && /^https?:\/\/[a-z\d.:-]+\/?$/i.test(url));

const ALARMS = {
  NOSPACE: [
    "The store has reached its quota. Writes are refused.",
    "Compact and defragment, or raise --quota-backend-bytes; then clear the alarm with “quoratectl alarm disarm”.",
  ],
  CORRUPT: [
    "What this member holds differs from the others.",
    "Do not trust its answers. See what “quoratectl doctor” says.",
  ],
};

export function cluster(view, { signal }) {
  const box = h("div", {}, loading());
  show(view, h("h1", { class: "unseen" }, "Cluster"), box);
  let [last, known] = [null, []];
  poll(EVERY_MS, signal, async () => {
    try {
      const state = await look(signal);
      known = state.members.filter((member) => member.ID !== state.self);
      const text = JSON.stringify(state);
      // Drawn when it has changed: nothing moves under a reader's eyes for no reason.
      if (text !== last) redraw(box, state);
      last = text;
    } catch (error) {
      last = null;
      if (error.name !== "AbortError")
        show(
          box,
          failure("The cluster cannot be seen from here", error),
          known.length
            ? h(
                "div",
                { class: "card" },
                h("p", {}, "This member is asked again every few seconds. The others may still answer:"),
                consoles(known, nameOf),
              )
            : null,
        );
    }
  });
}

// Draws the cluster anew. The link that has the focus keeps it.
function redraw(box, state) {
  const focused = box.contains(document.activeElement) ? document.activeElement.href : null;
  show(box, draw(state));
  Array.from(box.querySelectorAll("a"))
    .find((link) => link.href === focused)
    ?.focus();
}

// Asks this member about the cluster, and every member about itself.
async function look(signal) {
  // Without a leader the list of members is asked of this member alone.
  const list = () =>
    call(
      "cluster/member/list",
      { linearizable: true },
      { signal: AbortSignal.any([signal, AbortSignal.timeout(OTHERS_WITHIN_MS)]) },
    ).catch(() => call("cluster/member/list", { linearizable: false }, { signal }));
  const [own, { members = [] }] = await Promise.all([call("maintenance/status", {}, { signal }), list()]);
  const alarms = await call(
    "maintenance/alarm",
    { action: "GET" },
    { signal: AbortSignal.any([signal, AbortSignal.timeout(OTHERS_WITHIN_MS)]) },
  ).catch(() => null);
  const statuses = await Promise.all(
    members.map((member) => (member.ID === own.header.member_id ? own : ask(member, signal))),
  );
  return {
    self: own.header.member_id,
    clusterId: own.header.cluster_id,
    leader: own.leader ?? "0",
    revision: own.header.revision ?? "0",
    term: own.raftTerm ?? "0",
    // Without a leader nobody says which alarms there are.
    areAlarmsKnown: alarms !== null,
    alarms: alarms?.alarms ?? [],
    members: members
      .map((member, at) => ({ ...member, status: statuses[at] }))
      .map((member) => ({ ...member, isNewHere: isNewHere(member) }))
      .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)),
  };
}

// Asks another member at each of its addresses; null when none answers.
async function ask(member, signal) {
  for (const base of member.clientURLs ?? []) {
    if (!/^https?:\/\//.test(base) || isForbidden(base)) continue;
    const within = AbortSignal.any([signal, AbortSignal.timeout(OTHERS_WITHIN_MS)]);
    const status = await call("maintenance/status", {}, { base: base.replace(/\/$/, ""), signal: within }).catch(
      () => null,
    );
    if (status) return status;
  }
  return null;
}

// Links to the consoles of members. A member chooses its URLs: only those of HTTP become links.
function consoles(members, text) {
  const links = members.flatMap((member) => {
    const base = (member.clientURLs ?? []).find((url) => /^https?:\/\//.test(url));
    return base ? [h("a", { href: `${base.replace(/\/$/, "")}/console/` }, text(member))] : [];
  });
  return links.length ? h("p", { class: "row" }, links) : null;
}

const nameOf = (member) => (member.name ? showText(member.name) : `${hex(member.ID)} (not started yet)`);

function draw(state) {
  const leader = state.members.find((member) => member.ID === state.leader);
  const voters = state.members.filter((member) => !member.isLearner);
  const answering = state.members.filter((member) => member.status);
  const silent = state.members.filter((member) => !member.status);
  const end = answering.map(({ status }) => BigInt(status.raftIndex ?? 0)).reduce((a, b) => (a > b ? a : b), 0n);
  const lag = (member) => (member.status ? end - BigInt(member.status.raftAppliedIndex ?? 0) : null);
  const late = answering.filter((member) => lag(member) > BEHIND);
  const [mark, title, text] = !leader
    ? [
        "bad",
        "The cluster has no leader.",
        "It takes no writes until one is elected, for which more than half of the members must reach each other.",
      ]
    : state.alarms.length
      ? ["bad", "Something needs attention.", "See the alarms below."]
      : late.length
        ? [
            "warn",
            `${late.map(nameOf).join(", ")} ${late.length === 1 ? "is" : "are"} behind.`,
            "It is catching up, or its disk or network is slow.",
          ]
        : answering.length < state.members.length
          ? [
              "warn",
              `${silent.map(nameOf).join(", ")} ${silent.length === 1 ? "does" : "do"} not answer this browser.`,
              silent.every((member) => member.isNewHere)
                ? "There is a leader, and writes are taken. This page was loaded before that address was there: reload the page to ask it."
                : "There is a leader, and writes are taken. A member that is silent may be down, or only out of reach of this browser.",
            ]
          : [
              "good",
              state.members.length === 1 ? "All is well." : `All ${state.members.length} members are well.`,
              voters.length === 1
                ? "With one member that votes, the cluster survives no failure."
                : `It goes on when ${plural(Math.floor((voters.length - 1) / 2), "member")} ${voters.length < 5 ? "fails" : "fail"}.`,
            ];
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return [
    h(
      "section",
      { class: `summary ${mark}`, "aria-label": "State" },
      h(
        "div",
        { class: "summary-text" },
        h("h2", {}, h("span", { class: "dot", "aria-hidden": "true" }), title),
        h("p", {}, text),
        h(
          "dl",
          { class: "facts" },
          fact("Leader", leader ? nameOf(leader) : "none"),
          fact("Revision", count(state.revision)),
          fact("Term", count(state.term)),
          fact(
            "Alarms",
            !state.areAlarmsKnown ? "not known" : state.alarms.length ? String(state.alarms.length) : "none",
          ),
          fact("Cluster", h("span", { class: "mono" }, hex(state.clusterId))),
        ),
      ),
      picture(state, lag),
    ),
    state.alarms.map((alarm) => drawAlarm(alarm, state.members)),
    h(
      "div",
      { class: "cards members" },
      state.members.map((member) => drawMember(member, state, lag(member))),
    ),
  ];
}

function drawAlarm({ alarm, memberID }, members) {
  const member = members.find(({ ID }) => ID === memberID);
  const [what, help] = ALARMS[alarm] ?? [`Alarm ${alarm}.`, ""];
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, `${alarm}, raised by ${member ? nameOf(member) : hex(memberID)}`),
    h("p", {}, `${what} ${help}`),
  );
}

function drawMember(member, state, lag) {
  const { status } = member;
  const isLeader = member.ID === state.leader;
  const role = isLeader ? "Leader" : member.isLearner ? "Learner" : status ? "Follower" : "Voter";
  const quota = Number(status?.dbSizeQuota ?? 0);
  const used = status ? Number(status.dbSize ?? 0) : 0;
  const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
  const fill = h("span", { class: used / quota > 0.8 ? "fill bad" : "fill" });
  fill.style.width = `${quota > 0 ? Math.max(1, Math.min(100, (100 * used) / quota)) : 0}%`;
  const step = lag === null ? "" : lag <= BEHIND ? "in step" : `${count(lag)} entries behind`;
  return h(
    "article",
    { class: "card member", "aria-label": `Member ${nameOf(member)}` },
    h(
      "div",
      { class: "row head" },
      h("h3", {}, nameOf(member)),
      h("span", { class: `badge ${isLeader ? "leader" : ""}` }, role),
      member.ID === state.self ? h("span", { class: "badge" }, "serves this page") : null,
    ),
    status
      ? [
          h(
            "dl",
            { class: "facts" },
            fact("Version", showText(status.version ?? "?")),
            fact(
              "Log",
              count(status.raftIndex),
              h("span", { class: lag > BEHIND ? "warn-text" : "quiet" }, ` ${step}`),
            ),
            fact("Store", size(used), quota > 0 ? h("span", { class: "quiet" }, ` of ${size(quota)}`) : null),
          ),
          quota > 0 ? h("div", { class: "meter", "aria-hidden": "true" }, fill) : null,
          (status.errors ?? []).map((error) => h("p", { class: "warn-text" }, showText(error))),
        ]
      : h(
          "p",
          { class: "warn-text" },
          member.isNewHere ? "Not asked: reload the page to ask it." : "Does not answer this browser.",
        ),
    h("p", { class: "hint mono" }, [hex(member.ID), ...(member.clientURLs ?? []).map(showText)].join("  ")),
    member.ID === state.self ? null : consoles([member], () => "Its console"),
  );
}

// The members on a circle, the leader in the middle of its lines.
function picture(state, lag) {
  const [size, radius] = [150, 52];
  const places = state.members.map((_, at) => {
    const angle = (2 * Math.PI * at) / state.members.length - Math.PI / 2;
    return state.members.length === 1
      ? [size / 2, size / 2]
      : [size / 2 + radius * Math.cos(angle), size / 2 + radius * Math.sin(angle)];
  });
  const hub = places[state.members.findIndex(({ ID }) => ID === state.leader)];
  const lines = hub
    ? state.members.map(
        (member, at) =>
          member.ID !== state.leader &&
          svg("line", {
            class: `wire ${member.status ? "" : "silent"}`,
            x1: hub[0],
            y1: hub[1],
            x2: places[at][0],
            y2: places[at][1],
          }),
      )
    : [];
  const dots = state.members.map((member, at) => {
    const kind = !member.status
      ? "silent"
      : member.ID === state.leader
        ? "leader"
        : lag(member) > BEHIND
          ? "late"
          : "";
    return svg(
      "g",
      {},
      svg("circle", {
        class: `member-dot ${kind}`,
        cx: places[at][0],
        cy: places[at][1],
        r: member.ID === state.leader ? 15 : 11,
      }),
      svg(
        "text",
        { x: places[at][0], y: places[at][1] + 4, class: "member-letter" },
        Array.from(showText(member.name || "?")).at(-1),
      ),
    );
  });
  return svg("svg", { class: "picture", viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" }, lines, dots);
}
