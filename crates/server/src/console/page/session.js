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

// A browser may refuse to keep anything: then the session ends with the page.
export function begin(name, newToken) {
  session = { user: name, token: newToken };
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {}
}

export function end() {
  session = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {}
}
