// Users and roles: who there is, what each may do, and changes of both.

import { confirmed, empty, failure, field, form, h, loading, note, show } from "./dom.js";
import { call } from "./api.js";
import { ALL, fromBase64, parseBytes, prefixEnd, rangeOf, same, showBytes, showText, toBase64 } from "./bytes.js";
import * as session from "./session.js";

const KINDS = { READ: "read", WRITE: "write", READWRITE: "read and write" };

// Says in words what a permission is about.
export function about(permission) {
  const [key, end] = [fromBase64(permission.key), fromBase64(permission.range_end)];
  if (!end.length) return ["the key ", showBytes(key)];
  if (same(key, ALL) && same(end, ALL)) return ["all keys", ""];
  if (same(end, prefixEnd(key))) return ["all that begins with ", showBytes(key)];
  return same(end, ALL)
    ? ["all keys from ", showBytes(key)]
    : ["keys from ", `${showBytes(key)} to before ${showBytes(end)}`];
}

export function users(view, { signal }) {
  const box = h("div", {});
  show(view, h("h1", {}, "Users and roles"), box);
  const refresh = async () => {
    try {
      const { enabled } = await call("auth/status", {}, { signal });
      const [userList, roleList] = await Promise.all([
        call("auth/user/list", {}, { signal }),
        call("auth/role/list", {}, { signal }),
      ]);
      const [people, roles] = [userList.users ?? [], roleList.roles ?? []];
      const details = await Promise.all([
        ...people.map((name) =>
          call("auth/user/get", { name }, { signal }).then((answer) => ({ name, roles: answer.roles ?? [] })),
        ),
        ...roles.map((role) =>
          call("auth/role/get", { role }, { signal }).then((answer) => ({ role, permissions: answer.perm ?? [] })),
        ),
      ]);
      draw(
        enabled,
        details.filter((detail) => detail.name !== undefined),
        details.filter((detail) => detail.role !== undefined),
      );
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.isDenied && session.user()) return drawSelf();
      show(box, failure("Users and roles cannot be listed", error, refresh));
    }
  };
  // A user without the role root sees what is theirs.
  const drawSelf = async () => {
    try {
      const { roles = [] } = await call("auth/user/get", { name: session.user() }, { signal });
      const details = await Promise.all(
        roles.map((role) =>
          call("auth/role/get", { role }, { signal }).then((answer) => ({ role, permissions: answer.perm ?? [] })),
        ),
      );
      show(
        box,
        h("p", { class: "hint" }, "Only users with the role root may see all users. This is what you may do:"),
        h(
          "div",
          { class: "cards" },
          details.map((detail) => roleCard(detail, null)),
        ),
      );
    } catch (error) {
      if (error.name !== "AbortError") show(box, failure("Your roles cannot be read", error, refresh));
    }
  };
  const draw = (enabled, people, roles) => {
    const off = h(
      "div",
      { class: "notice warn" },
      h("strong", {}, "Authentication is off."),
      h(
        "p",
        {},
        "Whoever reaches this member may read and write everything; users and roles count once it is on. Turn it on with “quoratectl auth enable” when there is a user root with the role root.",
      ),
    );
    show(
      box,
      enabled ? null : off,
      h(
        "div",
        { class: "row head" },
        h("h2", {}, "Users"),
        h("button", { onclick: () => addUser(refresh) }, "Add a user"),
      ),
      people.length
        ? h(
            "div",
            { class: "cards" },
            people.map((person) => userCard(person, roles, refresh)),
          )
        : empty("There are no users yet."),
      h(
        "div",
        { class: "row head" },
        h("h2", {}, "Roles"),
        h("button", { onclick: () => addRole(refresh) }, "Add a role"),
      ),
      roles.length
        ? h(
            "div",
            { class: "cards" },
            roles.map((role) => roleCard(role, refresh)),
          )
        : empty("There are no roles yet.", "A role says which keys may be read and written; a user has roles."),
    );
  };
  show(box, loading());
  refresh();
}

function addUser(refresh) {
  const [name, password] = [
    h("input", { required: true, autocomplete: "off" }),
    h("input", { type: "password", required: true, autocomplete: "new-password" }),
  ];
  form("Add a user", [field("Name", name), field("Password", password)], "Add", async () => {
    await call("auth/user/add", { name: name.value, password: password.value });
    note("The user has been added.");
    refresh();
  });
}

function userCard({ name, roles }, all, refresh) {
  const drop = (role) =>
    confirmed(
      "Take the role away?",
      h("p", {}, `User “${showText(name)}” will not have the role “${showText(role)}” any more.`),
      "Take away",
      async () => {
        await call("auth/user/revoke", { name, role });
        refresh();
      },
    );
  const give = () => {
    const free = all.map(({ role }) => role).filter((role) => !roles.includes(role));
    const choice = h(
      "select",
      {},
      free.map((role) => h("option", { value: role }, showText(role))),
    );
    form(
      `A role for ${showText(name)}`,
      [free.length ? field("Role", choice) : empty("This user has all roles that there are.")],
      "Give",
      async () => {
        if (free.length) await call("auth/user/grant", { user: name, role: choice.value });
        refresh();
      },
    );
  };
  const change = () => {
    const password = h("input", { type: "password", required: true, autocomplete: "new-password" });
    form(
      `A new password for ${showText(name)}`,
      [field("Password", password, "Sessions of this user end.")],
      "Change",
      async () => {
        await call("auth/user/changepw", { name, password: password.value });
        note("The password has been changed.");
      },
    );
  };
  const remove = () =>
    confirmed(
      "Delete the user?",
      h("p", {}, `User “${showText(name)}” will not be able to log in any more.`),
      "Delete",
      async () => {
        await call("auth/user/delete", { name });
        note("The user has been deleted.");
        refresh();
      },
    );
  const chips = roles.map((role) =>
    h(
      "li",
      { class: "chip" },
      showText(role),
      h(
        "button",
        {
          class: "icon",
          "aria-label": `Take the role ${showText(role)} away from ${showText(name)}`,
          onclick: () => drop(role),
        },
        "×",
      ),
    ),
  );
  return h(
    "article",
    { class: "card", "aria-label": `User ${showText(name)}` },
    h("h3", {}, showText(name)),
    chips.length ? h("ul", { class: "chips" }, chips) : h("p", { class: "quiet" }, "no roles: may do nothing"),
    h(
      "div",
      { class: "row" },
      h("button", { onclick: give }, "Give a role"),
      h("button", { onclick: change }, "Password"),
      h("button", { class: "danger", onclick: remove }, "Delete"),
    ),
  );
}

function addRole(refresh) {
  const name = h("input", { required: true, autocomplete: "off" });
  form("Add a role", [field("Name", name)], "Add", async () => {
    await call("auth/role/add", { name: name.value });
    note("The role has been added.");
    refresh();
  });
}

function roleCard({ role, permissions }, refresh) {
  const drop = (permission) =>
    confirmed(
      "Take the permission away?",
      h("p", {}, `Role “${showText(role)}”: ${about(permission).join("")}`),
      "Take away",
      async () => {
        await call("auth/role/revoke", { role, key: permission.key, range_end: permission.range_end });
        refresh();
      },
    );
  const remove = () =>
    confirmed(
      "Delete the role?",
      h("p", {}, `Users will lose what the role “${showText(role)}” lets them do.`),
      "Delete",
      async () => {
        await call("auth/role/delete", { role });
        note("The role has been deleted.");
        refresh();
      },
    );
  const items = permissions.map((permission) => {
    const [words, name] = about(permission);
    const button =
      refresh &&
      h(
        "button",
        { class: "icon", "aria-label": `Take away: ${words}${name}`, onclick: () => drop(permission) },
        "×",
      );
    return h(
      "li",
      {},
      h("span", { class: "chip" }, KINDS[permission.permType ?? "READ"]),
      h("span", { class: "grow" }, ` ${words}`, h("span", { class: "mono" }, name)),
      button,
    );
  });
  const none = role === "root" ? "may do everything" : "no permissions yet";
  return h(
    "article",
    { class: "card", "aria-label": `Role ${showText(role)}` },
    h("h3", {}, showText(role)),
    items.length ? h("ul", { class: "permissions" }, items) : h("p", { class: "quiet" }, none),
    refresh &&
      h(
        "div",
        { class: "row" },
        h("button", { onclick: () => grant(role, refresh) }, "Give a permission"),
        h("button", { class: "danger", onclick: remove }, "Delete"),
      ),
  );
}

function grant(role, refresh) {
  const kind = h(
    "select",
    {},
    Object.entries(KINDS).map(([value, words]) => h("option", { value }, words)),
  );
  const scope = h(
    "select",
    {},
    h("option", { value: "prefix" }, "all that begins with"),
    h("option", { value: "key" }, "the one key"),
  );
  const key = h("input", { spellcheck: "false", autocomplete: "off" });
  form(
    `A permission for ${showText(role)}`,
    [
      field("May", kind),
      field("Which keys", scope),
      field("Key or beginning", key, "Empty, with “all that begins with”: all keys."),
    ],
    "Give",
    async () => {
      const bytes = parseBytes(key.value);
      if (scope.value === "key" && !bytes.length) throw new Error("Which key?");
      const range = scope.value === "key" ? { key: toBase64(bytes) } : rangeOf(bytes);
      await call("auth/role/grant", { name: role, perm: { permType: kind.value, ...range } });
      note("The permission has been given.");
      refresh();
    },
  );
}
