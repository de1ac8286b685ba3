// The processes as a picture: who feeds whom, what each one says, and what waits between them.

import { setAttribute, setText, svg } from "./dom.js";
import { bytes, count, days, percent, plural, shortened, text, words } from "./format.js";
import { TALL, WIDE } from "./layouts.js";
import { backlogOf, LATE_S, toneOfProcess } from "./lists.js";

const WORKERS = 4; // shown one by one; more are counted
const LINE = 19;
const SHAPES = {
  good: "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z",
  wait: "M0-5.5 5.5 0 0 5.5-5.5 0Z",
  bad: "M0-5.5 6 5H-6Z",
};
const TITLES = {
  exchange: "exchange",
  ingest: "ingest",
  journal: "journals",
  files: "files",
  taps: "taps",
  monitor: "monitor",
};
const RANK = { bad: 0, wait: 1, good: 2 };

/** A line of a box: a shape and a word on the left, a number on the right. Null is no shape. */
const line = (tone, left, right = "", title = "") => ({ tone, left, right, title });

class Line {
  constructor(x, y, width) {
    this.width = width;
    this.x = x;
    this.shape = svg("path", { transform: `translate(${x + 6} ${y - 4.5})`, class: "shape-mark" });
    this.left = svg("text", { x, y });
    this.right = svg("text", { x: x + width, y, class: "end" });
    this.title = svg("title");
    this.node = svg("g", {}, this.title, this.shape, this.left, this.right);
  }

  show(content) {
    setAttribute(this.node, "data-tone", content?.tone ?? "none");
    setAttribute(this.shape, "d", SHAPES[content?.tone] ?? "");
    const left = content?.tone ? 18 : 0;
    setAttribute(this.left, "x", this.x + left);
    const right = content?.right ?? "";
    const room = Math.floor((this.width - left) / 7.2) - (right ? right.length + 1 : 0);
    setText(this.left, shortened(content?.left ?? "", Math.max(3, room)));
    setText(this.right, right);
    setText(this.title, content ? [content.left, content.title].filter(Boolean).join(": ") : "");
  }
}

class Box {
  constructor(name, [x, y, width, height]) {
    this.frame = svg("rect", { x, y, width, height, rx: 9 });
    this.title = svg("text", { x: x + 14, y: y + 23, class: "name" });
    this.side = svg("text", { x: x + width - 14, y: y + 23, class: "end" });
    const lines = Math.max(0, Math.floor((height - 34) / LINE));
    this.lines = Array.from({ length: lines }, (_, at) => new Line(x + 14, y + 44 + at * LINE, width - 28));
    this.node = svg(
      "g",
      { class: `box box-${name}` },
      this.frame,
      this.title,
      this.side,
      ...this.lines.map((one) => one.node),
    );
    setText(this.title, TITLES[name] ?? name);
  }

  show({ tone, side = "", brief = "", lines }) {
    setAttribute(this.node, "data-tone", tone);
    setText(this.side, this.lines.length ? side : brief);
    this.lines.forEach((view, at) => view.show(lines[at]));
  }
}

function arrowPath(points) {
  const [x, y] = points[points.length - 1];
  const [fromX, fromY] = points[points.length - 2];
  const [dx, dy] = [Math.sign(x - fromX), Math.sign(y - fromY)];
  const way = points.map((point) => point.join(" ")).join("L");
  const head = `M${x - dx * 7 - dy * 4} ${y - dy * 7 - dx * 4}L${x} ${y}L${x - dx * 7 + dy * 4} ${y - dy * 7 + dx * 4}`;
  return `M${way}${head}`;
}

class Picture {
  constructor(layout) {
    const [width, height] = layout.size;
    this.boxes = new Map(Object.entries(layout.boxes).map(([name, place]) => [name, new Box(name, place)]));
    this.arrows = layout.arrows.map(([from, to, points]) => ({
      from,
      to,
      node: svg("path", { class: "arrow", d: arrowPath(points) }),
    }));
    const inside = [...this.arrows.map((arrow) => arrow.node), ...[...this.boxes.values()].map((box) => box.node)];
    this.node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Pipeline" }, ...inside);
  }

  show(contents, label) {
    for (const [name, box] of this.boxes) {
      setAttribute(box.node, "visibility", contents[name] ? "visible" : "hidden");
      if (contents[name]) box.show(contents[name]);
    }
    for (const { from, to, node } of this.arrows) {
      const there = contents[from] && contents[to];
      const flows = there && !contents[from].down && !contents[to].down;
      setAttribute(node, "visibility", there ? "visible" : "hidden");
      setAttribute(node, "data-flows", Boolean(flows));
    }
    setAttribute(this.node, "aria-label", label);
  }
}

/** One process: its state, and what it uses. */
function ofProcess(process) {
  if (!process) return null;
  const tone = toneOfProcess(process);
  const lines = [line(tone, words(process.state), "", process.detail)];
  if (process.up) lines.push(line(null, `CPU ${percent(process.cpu_percent)}`, bytes(process.rss_bytes)));
  return { tone, down: !process.up, lines };
}

function ofWorkers(workers) {
  if (!workers.length) return null;
  const sorted = workers.map((process) => ({ process, tone: toneOfProcess(process) }));
  sorted.sort((one, other) => RANK[one.tone] - RANK[other.tone]); // stable: what is wrong comes first
  const shown = sorted.slice(0, sorted.length > WORKERS + 1 ? WORKERS : WORKERS + 1);
  const lines = shown.map(({ process, tone }) =>
    line(tone, process.name.replace(/^ingest-/, ""), words(process.state), text(process.detail)),
  );
  const hidden = sorted.slice(shown.length);
  const wrong = hidden.filter(({ tone }) => tone === "bad").length;
  if (hidden.length)
    lines.push(
      line(hidden[0].tone, `${count(hidden.length)} more`, wrong ? `${count(wrong)} of them bad` : "all fine"),
    );
  const down = workers.filter((process) => !process.up).length;
  return { tone: sorted[0].tone, down: down === workers.length, side: plural(workers.length, "worker"), lines };
}

function ofJournals(processes) {
  const producers = processes.filter((process) => ["ingest", "rest", "orderbook"].includes(process.kind));
  const waiting = producers.reduce((sum, process) => sum + (process.backlog_bytes ?? 0), 0);
  const behind = Math.max(0, ...producers.map((process) => process.backlog_s ?? 0));
  const tone = behind >= 3 * LATE_S ? "bad" : behind >= LATE_S ? "wait" : "good";
  const words = [
    line(tone, behind >= LATE_S ? "falling behind" : "in time"),
    line(null, backlogOf({ backlog_bytes: waiting, backlog_s: behind })),
  ];
  return { tone, lines: [...words, line(null, "not durable yet")] };
}

function ofFiles(disk, path) {
  if (!Number.isFinite(disk?.free_bytes))
    return { tone: "wait", lines: [line("wait", "not known"), line(null, text(path))] };
  const { free_bytes, days_left } = disk;
  const tone = Number.isFinite(days_left) && days_left < 3 ? "bad" : "good";
  const left = Number.isFinite(days_left) ? [line(null, `${days(days_left)} left`)] : [];
  return { tone, lines: [line(tone, `${bytes(free_bytes)} free`), ...left, line(null, text(path))] };
}

function contentsOf({ processes, symbols, disk, data_directory, weight }) {
  const one = (kind) => ofProcess(processes.find((process) => process.kind === kind));
  const rates = symbols.flatMap((symbol) => symbol.streams.map((stream) => stream.rate ?? 0));
  const total = `${count(rates.reduce((sum, value) => sum + value, 0))} msg/s`;
  const rest = one("rest");
  if (rest && weight) rest.lines.push(line(null, "weight", count(weight.used)));
  const bus = one("bus");
  return {
    exchange: {
      tone: "none",
      brief: total,
      lines: [
        line(null, total),
        line(null, plural(rates.length, "stream")),
        line(null, plural(symbols.length, "symbol")),
      ],
    },
    ingest: ofWorkers(processes.filter((process) => process.kind === "ingest")),
    rest,
    journal: ofJournals(processes),
    writer: one("writer"),
    files: ofFiles(disk, data_directory),
    bus,
    orderbook: one("orderbook"),
    monitor: one("monitor"),
    taps: bus && { tone: "none", brief: "any number", lines: [] },
  };
}

function labelOf(processes) {
  const down = processes.filter((process) => !process.up).map((process) => process.name);
  const up = `${processes.length - down.length} of ${processes.length} processes are up`;
  return `Pipeline from the exchange to the files. ${up}${down.length ? `; down: ${down.join(", ")}` : ""}.`;
}

export class Pipeline {
  constructor(place) {
    const pictures = [new Picture(WIDE), new Picture(TALL)];
    pictures[0].node.setAttribute("class", "picture wide");
    pictures[1].node.setAttribute("class", "picture tall");
    place.append(...pictures.map((picture) => picture.node));
    this.pictures = pictures;
  }

  show(snapshot) {
    const contents = contentsOf(snapshot);
    const label = labelOf(snapshot.processes);
    for (const picture of this.pictures) picture.show(contents, label);
  }
}
