// A key with its value, as the scripts hold it.

import { call } from "./api.js";
import { fromBase64, toBase64 } from "./bytes.js";

export const pairOf = (kv) => ({
  key: fromBase64(kv.key),
  value: fromBase64(kv.value),
  created: kv.create_revision ?? "0",
  changed: kv.mod_revision ?? "0",
  version: kv.version ?? "0",
  lease: kv.lease ?? "0",
});

// Reads a key at a revision, or as it is now. Returns it, or null, and the revision of the answer.
export async function read(key, revision, signal) {
  const answer = await call("kv/range", { key: toBase64(key), revision: revision ?? "0" }, { signal });
  return { pair: answer.kvs?.length ? pairOf(answer.kvs[0]) : null, at: answer.header.revision };
}
