// Who the person is: a token of the cluster's, kept until the tab is closed, and never anywhere else.

const KEY = "quorate-session";

let session = null;
try {
  session = JSON.parse(sessionStorage.getItem(KEY));
} catch {
  session = null;
}

export const token = () => session?.token ?? null;
export const user = () => session?.user ?? null;

export function begin(name, newToken) {
  session = { user: name, token: newToken };
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

export function end() {
  session = null;
  sessionStorage.removeItem(KEY);
}
