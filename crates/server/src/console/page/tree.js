// The keys as a tree by "/", whose branches are read when they are opened, a page at a time.
//
// A branch is read without what is below its own branches: where a key goes on behind the next "/", the reading jumps
// over all that begins the same. So a branch with a million keys below costs its parent one request.

import { h, show } from "./dom.js";
import { ApiError, call } from "./api.js";
import { ALL, compare, concat, fromBase64, prefixEnd, same, showBytes, startsWith, toBase64 } from "./bytes.js";

// Children that a branch shows at once, and requests that it makes for them at most.
const PAGE_CHILDREN = 100;
const PAGE_REQUESTS = 25;
const KEYS_A_REQUEST = 100;

const SLASH = 47;

// Reads children of a branch from `from` on. Returns them, and where the next page begins (null at the end).
export async function children({ prefix, from, end }, signal) {
  const found = [];
  let at = from;
  for (let requests = 0; requests < PAGE_REQUESTS && found.length < PAGE_CHILDREN; requests++) {
    const body = {
      key: toBase64(at.length ? at : ALL),
      range_end: toBase64(end),
      limit: KEYS_A_REQUEST,
      keys_only: true,
    };
    const answer = await call("kv/range", body, { signal });
    const keys = (answer.kvs ?? []).map((pair) => fromBase64(pair.key));
    let branch = null;
    for (const key of keys) {
      if (branch && startsWith(key, branch)) continue;
      if (found.length >= PAGE_CHILDREN) return { found, next: key };
      const slash = key.indexOf(SLASH, prefix.length);
      branch = slash < 0 ? null : key.slice(0, slash + 1);
      found.push(branch ? { isLeaf: false, key: branch } : { isLeaf: true, key });
    }
    if (!answer.more || !keys.length) return { found, next: null };
    at = branch ? prefixEnd(branch) : concat(keys.at(-1), [0]);
    // After the last prefix there is nothing; and a range of which one end is known may end here.
    if (same(at, ALL) || (!same(end, ALL) && compare(at, end) >= 0)) return { found, next: null };
  }
  return { found, next: at };
}

// Returns what of the store a user may read: [{ prefix, from, end, label }].
async function readable(name, signal) {
  const user = await call("auth/user/get", { name }, { signal });
  const roles = await Promise.all((user.roles ?? []).map((role) => call("auth/role/get", { role }, { signal })));
  const permissions = roles
    .flatMap((role) => role.perm ?? [])
    .filter((permission) => permission.permType !== "WRITE");
  return permissions.map((permission) => {
    const [from, end] = [fromBase64(permission.key), fromBase64(permission.range_end)];
    if (!end.length) return { isLeaf: true, key: from };
    const isPrefix = same(end, prefixEnd(from));
    return {
      isLeaf: false,
      key: isPrefix ? from : new Uint8Array(),
      from,
      end,
      label: isPrefix ? null : `${showBytes(from)} … ${showBytes(end)}`,
    };
  });
}

// Returns a child of a branch with its range, which is within that of the branch: a user may read no more.
function clipped(child, { from, end }) {
  if (child.isLeaf || child.from) return child;
  const ownEnd = prefixEnd(child.key);
  const isOwnLess = same(end, ALL) || (!same(ownEnd, ALL) && compare(ownEnd, end) < 0);
  return { ...child, from: compare(child.key, from) < 0 ? from : child.key, end: isOwnLess ? ownEnd : end };
}

// The tree. `choose` gets the key that is opened, `user` is who reads.
export class Tree {
  constructor({ choose, user, signal }) {
    Object.assign(this, { choose, user, signal, name: null });
    this.element = h("ul", {
      role: "tree",
      class: "tree",
      "aria-label": "Keys",
      onkeydown: (event) => this.key(event),
      onclick: (event) => this.click(event),
    });
    this.nodes = new WeakMap();
  }

  // Shows what begins with `prefix`. Opens branches as long as there is nothing beside them.
  async start(prefix) {
    this.element.replaceChildren(row("Loading …"));
    const root = { isLeaf: false, key: prefix, from: prefix, end: prefixEnd(prefix), level: 0, list: this.element };
    try {
      await this.read(root);
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isDenied || !this.user) throw error;
      const parts = (await readable(this.user, this.signal)).filter(
        (part) => part.label || part.isLeaf || startsWith(part.key, prefix) || startsWith(prefix, part.key),
      );
      if (!parts.length) throw error;
      this.element.replaceChildren();
      this.add(root, parts);
      return { parts: parts.length };
    }
    let only = this.element.children;
    while (only.length === 1 && only[0].getAttribute("aria-expanded") === "false") {
      await this.open(only[0]);
      only = only[0].querySelector("ul")?.children ?? [];
    }
    this.element.querySelector("[role=treeitem]")?.setAttribute("tabindex", "0");
    return { isEmpty: this.element.children.length === 0 };
  }

  async read(node) {
    const { found, next } = await children(
      { prefix: node.key, from: node.next ?? node.from, end: node.end },
      this.signal,
    );
    if (node.next === undefined) node.list.replaceChildren();
    const already =
      node.next === undefined
        ? []
        : Array.from(node.list.children, (item) => this.nodes.get(item)?.key).filter(Boolean);
    node.next = next;
    this.add(
      node,
      found.filter((child) => child.isLeaf || !already.some((key) => same(key, child.key))),
    );
    if (next) node.list.append(this.more(node));
  }

  add(node, found) {
    for (const child of found) {
      const label =
        child.label ?? showBytes(child.key.subarray(startsWith(child.key, node.key) ? node.key.length : 0));
      const below = { ...clipped(child, node), level: node.level + 1 };
      const item = h(
        "li",
        {
          role: "treeitem",
          "aria-level": below.level,
          tabindex: "-1",
          "aria-expanded": child.isLeaf ? null : "false",
          "aria-label": label,
          "data-key": showBytes(child.key),
        },
        h("span", { class: child.isLeaf ? "leaf" : "branch" }, label === "" ? "(this name itself)" : label),
      );
      this.nodes.set(item, below);
      this.markItem(item);
      node.list.append(item);
    }
    if (!this.element.querySelector('[tabindex="0"]'))
      this.element.querySelector("[role=treeitem]")?.setAttribute("tabindex", "0");
  }

  more(node) {
    const item = h(
      "li",
      { role: "treeitem", "aria-level": node.level + 1, tabindex: "-1", class: "more" },
      h("span", { class: "leaf" }, "Show more"),
    );
    this.nodes.set(item, { isMore: true, level: node.level + 1, node });
    return item;
  }

  async open(item) {
    const node = this.nodes.get(item);
    if (node.isMore) {
      const previous = item.previousElementSibling;
      item.remove();
      await this.guarded(node.node.list, () => this.read(node.node));
      const next = previous?.nextElementSibling;
      if (next) this.focus(next);
      return;
    }
    if (node.isLeaf) return this.choose(node.key);
    item.setAttribute("aria-expanded", "true");
    if (node.list) return;
    node.list = h("ul", { role: "group" }, row("Loading …"));
    item.append(node.list);
    await this.guarded(node.list, () => this.read(node));
    if (!node.list.children.length) node.list.append(row("Nothing here any more"));
  }

  async guarded(list, work) {
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") show(list, row(error.message));
    }
  }

  close(item) {
    item.setAttribute("aria-expanded", "false");
    // It is read anew when it is opened again.
    const node = this.nodes.get(item);
    node.list?.remove();
    delete node.list;
    delete node.next;
  }

  // Marks the key that is shown beside the tree, and opens the branches that lead to it.
  async mark(name) {
    this.name = name;
    for (const item of this.element.querySelectorAll("[data-key]")) this.markItem(item);
    const tried = new Set();
    while (name && this.name === name) {
      const closed = Array.from(this.element.querySelectorAll('[aria-expanded="false"]'));
      const next = closed.find((item) => !tried.has(item) && item.dataset.key && name.startsWith(item.dataset.key));
      if (!next) return;
      tried.add(next);
      await this.open(next);
    }
  }

  markItem(item) {
    const isChosen = item.dataset.key === this.name && !item.hasAttribute("aria-expanded");
    if (isChosen) item.setAttribute("aria-selected", "true");
    else item.removeAttribute("aria-selected");
  }

  click(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    this.focus(item);
    if (item.getAttribute("aria-expanded") === "true") this.close(item);
    else this.open(item);
  }

  focus(item) {
    this.element.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
    item.setAttribute("tabindex", "0");
    item.focus();
  }

  key(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
    const shown = Array.from(this.element.querySelectorAll("[role=treeitem]")).filter(
      (other) => !other.parentElement.closest('[aria-expanded="false"]'),
    );
    const at = shown.indexOf(item);
    const isOpen = item.getAttribute("aria-expanded");
    const keys = {
      ArrowDown: () => shown[at + 1] && this.focus(shown[at + 1]),
      ArrowUp: () => shown[at - 1] && this.focus(shown[at - 1]),
      Home: () => this.focus(shown[0]),
      End: () => this.focus(shown.at(-1)),
      ArrowRight: () =>
        isOpen === "false" ? this.open(item) : isOpen === "true" && shown[at + 1] && this.focus(shown[at + 1]),
      ArrowLeft: () => {
        if (isOpen === "true") return this.close(item);
        const parent = item.parentElement.closest("[role=treeitem]");
        if (parent) this.focus(parent);
      },
      Enter: () => (isOpen === "true" ? this.close(item) : this.open(item)),
    };
    keys[" "] = keys.Enter;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}

const row = (text) => h("li", { role: "none", class: "quiet" }, text);
