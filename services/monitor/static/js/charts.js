// Throughput and latency over time, drawn by uPlot in the colours of the style sheet.

import { byId, setAttribute, setText } from "./dom.js";
import { clock, last, milliseconds, rate } from "./format.js";

const HEIGHT = 190;
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function axes(size, unit) {
  const common = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px Inter, system-ui, sans-serif",
  };
  const times = (_, values, _axis, _space, step_s) =>
    values.map((value) => clock(value * 1000).slice(0, step_s < 60 ? 8 : 5));
  const numbers = (_, values) => values.map((value) => `${compact.format(value)}${unit}`);
  return [
    { ...common, grid: { show: false }, space: 74, values: times, size: 24 },
    { ...common, values: numbers, size, space: 36 },
  ];
}

class Chart {
  constructor(place, lines, { fromZero, unit }) {
    this.place = place;
    this.lines = lines;
    this.fromZero = fromZero;
    this.unit = unit;
    this.data = [[], ...lines.map(() => [])];
    new ResizeObserver(() => this.fit()).observe(place);
    this.draw();
  }

  draw() {
    this.plot?.destroy();
    const range = (_, low, high) =>
      this.fromZero || low === null || low >= 0
        ? [0, Math.max(high ?? 0, 1) * 1.1]
        : [low * 1.1, Math.max(high, 0) * 1.1 || 1];
    this.plot = new window.uPlot(
      {
        width: Math.max(200, this.place.clientWidth),
        height: HEIGHT,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: { time: true }, y: { range } },
        axes: axes(62, this.unit),
        series: [
          {},
          ...this.lines.map((of) => ({
            stroke: colour(of.stroke),
            fill: of.fill ? colour(of.fill) : undefined,
            width: of.width ?? 1.5,
            dash: of.dash,
            points: { show: false },
            spanGaps: false,
          })),
        ],
      },
      this.data,
      this.place,
    );
  }

  fit() {
    const width = this.place.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  show(data, label) {
    this.data = data;
    this.plot.setData(data);
    setAttribute(this.place, "aria-label", label);
  }
}

export class Charts {
  constructor() {
    this.rate = new Chart(byId("rate-chart"), [{ stroke: "--accent", fill: "--accent-soft" }], { fromZero: true, unit: " /s" });
    const delay = [
      { stroke: "--accent", width: 2 },
      { stroke: "--second", dash: [5, 4] },
    ];
    this.delay = new Chart(byId("delay-chart"), delay, { fromZero: false, unit: " ms" });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.rate.draw();
      this.delay.draw();
    });
  }

  show({ series }) {
    const seconds = series.t_ms.map((time_ms) => time_ms / 1000);
    const rateNow = rate(last(series.messages_per_s));
    const p50 = milliseconds(last(series.latency_p50_ms));
    const p99 = milliseconds(last(series.latency_p99_ms));
    setText(byId("rate-now"), rateNow);
    setText(byId("p50-now"), p50);
    setText(byId("p99-now"), p99);
    this.rate.show([seconds, series.messages_per_s], `Messages per second over time, now ${rateNow}`);
    this.delay.show(
      [seconds, series.latency_p50_ms, series.latency_p99_ms],
      `Latency over time, now median ${p50}, 99th percentile ${p99}`,
    );
  }
}
