// A plot of the last minutes: one or two lines, the newest value in figures beside them.

import { h, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [320, 72];

// So many values take the whole width; more are put closer together.
const FEWEST = 30;

// Returns the next number of the row 1, 2, 5, 10, …: where the axis ends.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

// Makes a plot. `format` makes text of a number; `series` names the lines.
export function chart({ title, hint, series, format, points }) {
  const values = series.map((name, at) =>
    h(
      "span",
      { class: `figure line-${at}` },
      name ? h("span", { class: "figure-name" }, name, " ") : null,
      h("b", {}, "–"),
    ),
  );
  const lines = series.map((_, at) => svg("path", { class: `line line-${at}` }));
  const area = svg("path", { class: "area" });
  const top = h("span", { class: "axis" });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
    svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: 1, y2: 1 }),
    svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
    area,
    lines,
  );
  const history = series.map(() => []);
  // A young plot is as wide as an old one: it fills up within a minute.
  const place = (value, at, length, max) => [
    WIDTH - ((length - 1 - at) * WIDTH) / (Math.max(length, FEWEST) - 1),
    HEIGHT - 1 - (Math.min(value, max) / max) * (HEIGHT - 4),
  ];
  // Adds a value for each line; null where there is none.
  const add = (...now) => {
    now.forEach((value, at) => {
      history[at].push(value);
      if (history[at].length > points) history[at].shift();
      values[at].querySelector("b").textContent = value === null ? "–" : format(value);
    });
    const max = ceiling(Math.max(...history.flat().filter((value) => value !== null && Number.isFinite(value)), 0));
    top.textContent = format(max);
    history.forEach((known, line) => {
      let path = "";
      let isDown = false;
      known.forEach((value, at) => {
        if (value === null) return (isDown = false);
        const [x, y] = place(value, at, known.length, max);
        // A value alone is a dot: a short line with round ends.
        path += isDown ? `L${x.toFixed(1)} ${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}h1.5`;
        isDown = true;
      });
      lines[line].setAttribute("d", path);
      if (line > 0 || known.some((value) => value === null)) return line === 0 && area.setAttribute("d", "");
      const [left] = place(0, 0, known.length, max);
      area.setAttribute("d", path ? `${path}L${WIDTH} ${HEIGHT}L${left.toFixed(1)} ${HEIGHT}Z` : "");
    });
    drawing.setAttribute("aria-label", `${title}: ${values.map((value) => value.textContent).join(", ")}`);
  };
  const element = h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h("span", { class: "chart-title" }, title),
      h("span", { class: series.length > 1 ? "figures two" : "figures" }, values),
    ),
    h("div", { class: "plot" }, top, drawing),
    hint ? h("p", { class: "hint" }, hint) : null,
  );
  return { element, add };
}
