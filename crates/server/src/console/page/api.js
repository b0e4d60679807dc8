// Calls of the JSON gateway, on behalf of whoever has logged in.

import * as session from "./session.js";

const CODES = { PERMISSION_DENIED: 7, UNAUTHENTICATED: 16, UNAVAILABLE: 14 };

// A member answers sooner or gives up; what takes longer waits for a connection.
const CALL_MS_MAX = 30_000;

export class ApiError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  // Whether logging in (again) may help.
  get needsLogin() {
    return (
      this.code === CODES.UNAUTHENTICATED ||
      this.message.includes("user name is empty") ||
      this.message.includes("revision of auth store is old")
    );
  }

  get isDenied() {
    return this.code === CODES.PERMISSION_DENIED;
  }
}

const explained = (error) => {
  const code = error.code ?? error.grpc_code ?? 2;
  const message = error.message || error.error || "the member answered without a reason";
  return new ApiError(code, code === CODES.PERMISSION_DENIED ? `Your user may not do this (${message}).` : message);
};

// Options: `signal` ends the call, `base` is another member, `isAnonymous` leaves the token out.
function request(path, body, options) {
  const headers = { "content-type": "application/json" };
  if (session.token() && !options.isAnonymous) headers.authorization = session.token();
  return fetch(`${options.base ?? ""}/v3/${path}`, {
    method: "POST",
    headers,
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal: options.signal,
    cache: "no-store",
    credentials: options.base ? "omit" : "same-origin",
  });
}

async function open(path, body, options) {
  let response;
  try {
    response = await request(path, body, options);
  } catch (error) {
    if (error.name === "AbortError" || error.name === "TimeoutError") throw error;
    throw new ApiError(CODES.UNAVAILABLE, "The member cannot be reached.");
  }
  if (response.ok) return response;
  const error = explained(await response.json().catch(() => ({ message: `HTTP ${response.status}` })));
  askForLogin(error, options);
  throw error;
}

// What another member says of a login is nothing to this page.
function askForLogin(error, options) {
  if (error.needsLogin && !options.base) dispatchEvent(new CustomEvent("login-needed"));
}

// Does `work` with a signal that ends it when `signal` does, or when it takes too long.
async function limited(signal, work) {
  const limit = AbortSignal.timeout(CALL_MS_MAX);
  try {
    return await work(signal ? AbortSignal.any([signal, limit]) : limit);
  } catch (error) {
    if (!limit.aborted || signal?.aborted) throw error;
    throw new ApiError(
      CODES.UNAVAILABLE,
      `There was no answer within ${CALL_MS_MAX / 1000} s; a change may have been made, or not. Over HTTP/1.1 a browser has six connections to a member, for all of its tabs, and each watch holds one: close the tabs that you do not need.`,
    );
  }
}

// Makes one call and returns its answer.
export function call(path, body = {}, options = {}) {
  return limited(options.signal, async (signal) => (await open(path, body, { ...options, signal })).json());
}

// Makes a call whose answer comes in lines, and gives each result to `take` as it comes. Returns when the stream ends.
export async function stream(path, body, take, options = {}) {
  const response = await open(path, body, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        return { done: true };
      });
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.filter((line) => line.trim())) {
        const message = JSON.parse(line);
        if (message.error) throw explained(message.error);
        take(message.result);
      }
    }
  } catch (error) {
    askForLogin(error, options);
    throw error;
  } finally {
    // Where `take` has failed, nobody reads the rest.
    reader.cancel().catch(() => {});
  }
}

// Returns the metrics of the member as text.
export function metrics(signal) {
  return limited(signal, async (signal) => {
    const response = await fetch("/metrics", { signal, cache: "no-store" }).catch((error) => {
      throw error.name === "AbortError" ? error : new ApiError(CODES.UNAVAILABLE, "The member cannot be reached.");
    });
    if (!response.ok) throw new ApiError(2, `The metrics answer with HTTP ${response.status}.`);
    return response.text();
  });
}

// Calls `work` now and every `milliseconds` while the page is seen, until `signal` ends it. Never twice at once.
export async function poll(milliseconds, signal, work) {
  while (!signal.aborted) {
    if (!document.hidden) await work().catch((error) => error.name === "AbortError" || console.error(error));
    await pause(milliseconds, signal);
  }
}

// Waits so long, or until `signal` says to stop.
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal.addEventListener("abort", finish);
  });
}
