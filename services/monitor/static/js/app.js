// Takes a snapshot a second from /events and hands it to the parts of the page.

import { byId, setAttribute, setHidden, setText } from "./dom.js";
import { age, clock } from "./format.js";
import { Charts } from "./charts.js";
import { Feed } from "./feed.js";
import { Gaps, Processes } from "./lists.js";
import { Pipeline } from "./pipeline.js";
import { Symbols } from "./symbols.js";
import { Days } from "./days/days.js";
import { Tiles } from "./tiles.js";
import { Verdict } from "./verdict.js";

const verdict = new Verdict();
const parts = [
  verdict,
  new Tiles(),
  new Pipeline(byId("pipeline")),
  new Charts(),
  new Symbols(),
  new Gaps(),
  new Processes(),
];
new Days();
let latest = null;

function draw() {
  setText(byId("time"), `${clock(latest.time_ms)} UTC`);
  setHidden(byId("mode"), !latest.mode);
  setText(byId("mode"), latest.mode ?? "");
  for (const part of parts) part.show(latest);
}

function take(snapshot) {
  latest = snapshot;
  if (!document.hidden) draw();
}

function showLink(connected, silent_s) {
  setAttribute(byId("link"), "data-link", connected ? "live" : latest ? "lost" : "connecting");
  setText(byId("link-word"), connected ? "live" : latest ? "lost" : "connecting");
  const lost = !connected && (latest !== null || silent_s > 5);
  const seen = latest ? `What you see is ${age(silent_s)} old.` : `Nothing came for ${age(silent_s)}.`;
  if (lost) setText(byId("lost-age"), `${seen} It is tried again by itself.`);
  setHidden(byId("lost"), !lost);
  document.documentElement.classList.toggle("is-lost", lost);
  if (lost) verdict.lose();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && latest) draw();
});
new Feed("events", take, showLink).start();
