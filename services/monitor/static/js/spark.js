// The rates of the last minute as a small picture. The number stands beside it, so it is hidden from screen readers.

import { setAttribute, svg } from "./dom.js";

const POINTS = 60;
const HEIGHT = 20;

export class Spark {
  constructor() {
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    const box = {
      class: "spark",
      viewBox: `0 0 ${POINTS - 1} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    };
    this.node = svg("svg", box, this.area, this.line);
  }

  show(rates) {
    const values = rates.slice(-POINTS);
    const most = Math.max(...values, 0) || 1;
    const first = POINTS - values.length;
    const points = values.map(
      (value, at) => `${first + at},${(HEIGHT - 1 - (value / most) * (HEIGHT - 2)).toFixed(1)}`,
    );
    const path = points.length ? `M${points.join("L")}` : "";
    setAttribute(this.line, "d", path);
    setAttribute(this.area, "d", path && `${path}V${HEIGHT}H${first}Z`);
  }
}

/** The sum of several streams, second by second, the newest last. */
export function added(all) {
  const sum = new Array(Math.max(0, ...all.map((rates) => rates.length))).fill(0);
  for (const rates of all) rates.forEach((value, at) => (sum[sum.length - rates.length + at] += value ?? 0));
  return sum;
}
