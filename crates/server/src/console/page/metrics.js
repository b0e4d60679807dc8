// The text of /metrics, read, and what can be told from two of them.

// Returns samples by name: [{ labels, value }].
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found) continue;
    const [, name, labels, value] = found;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels: labels ? parseLabels(labels) : {}, value: number(value) });
  }
  return samples;
}

const number = (text) => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));

function parseLabels(text) {
  const labels = {};
  for (const [, name, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
    labels[name] = value.replace(/\\n/g, "\n").replace(/\\(.)/g, "$1");
  return labels;
}

// Returns the sum of a metric over all samples, or over those that `fits` lets through.
export function sum(samples, name, fits = () => true) {
  return (samples?.get(name) ?? [])
    .filter(({ labels }) => fits(labels))
    .reduce((total, { value }) => total + value, 0);
}

// Returns sums of a metric by one label.
export function sumBy(samples, name, label) {
  const sums = new Map();
  for (const { labels, value } of samples?.get(name) ?? [])
    sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
  return sums;
}

// Returns a quantile of what a histogram has counted between two readings, in seconds; null when there was nothing.
// Within a bucket the values are taken as spread evenly, as Prometheus does.
export function quantile(before, now, name, q, fits = () => true) {
  const counts = (samples) => {
    const byBound = new Map();
    for (const { labels, value } of samples?.get(`${name}_bucket`) ?? []) {
      if (!fits(labels)) continue;
      const bound = number(labels.le);
      byBound.set(bound, (byBound.get(bound) ?? 0) + value);
    }
    return byBound;
  };
  const old = counts(before);
  const buckets = Array.from(counts(now), ([bound, value]) => [bound, value - (old.get(bound) ?? 0)]).sort(
    ([a], [b]) => a - b,
  );
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const rank = q * total;
  let [low, below] = [0, 0];
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank)
      return bound === Infinity ? low : low + ((bound - low) * (rank - below)) / Math.max(upTo - below, 1e-9);
    [low, below] = [bound, upTo];
  }
  return low;
}
