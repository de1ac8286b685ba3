// The seven numbers on top.

import { byId, setAttribute, setMeter, setText } from "./dom.js";
import {
  age,
  bytes,
  clock as time,
  compact,
  count,
  days,
  last,
  milliseconds,
  NONE,
  plural,
  rate,
  signed,
  toneOfStream,
} from "./format.js";

const FULL_DAYS = 3;
const OFFSET_MS = 500;

export class Tiles {
  show({ symbols, series, gaps, disk, stored, clock, weight, recorded }) {
    const streams = symbols.flatMap((symbol) => symbol.streams);
    const live = streams.filter((stream) => toneOfStream(stream) === "good").length;
    setText(byId("messages"), rate(last(series.messages_per_s)));
    setText(byId("messages-note"), `${live} of ${plural(streams.length, "stream")} live`);
    setText(byId("latency"), milliseconds(last(series.latency_p50_ms)));
    setText(byId("latency-note"), `99 %: ${milliseconds(last(series.latency_p99_ms))}`);
    this.recorded(recorded);
    this.gaps(gaps);
    this.disk(disk, stored);
    this.clock(clock ?? {});
    this.weight(weight ?? {});
  }

  recorded(recorded) {
    setText(byId("recorded"), compact(recorded?.rows));
    const since = recorded && `${bytes(recorded.bytes)} since ${time(recorded.since_ms)} UTC`;
    setText(byId("recorded-note"), since ?? "not known before the writer is heard");
  }

  gaps({ listed, open, repaired, unrepairable, unrepairable_messages, unrepairable_s }) {
    const amount = unrepairable
      ? ` (${unrepairable_messages ? `${plural(unrepairable_messages, "message")}, ` : ""}${age(unrepairable_s)})`
      : "";
    const note = `${count(unrepairable)} unrepairable${amount}, ${count(repaired)} repaired, ${count(open)} open`;
    setText(byId("gap-count"), count(listed));
    setText(byId("gap-note"), listed ? note : "nothing is missing");
    setAttribute(byId("gaps-tile"), "data-tone", listed > repaired ? "wait" : "");
  }

  disk(disk, stored) {
    if (!Number.isFinite(disk?.free_bytes)) {
      setText(byId("disk"), NONE);
      setText(byId("disk-note"), "not known while the writer is not heard");
      setAttribute(byId("disk-tile"), "data-tone", "");
      setMeter(byId("disk-meter"), 0);
      return;
    }
    const { free_bytes, total_bytes, written_bytes_per_day, days_left } = disk;
    const short = Number.isFinite(days_left) && days_left < FULL_DAYS;
    setText(byId("disk"), Number.isFinite(days_left) ? `${days(days_left)} left` : `${bytes(free_bytes)} free`);
    const written = Number.isFinite(written_bytes_per_day) ? `, ${bytes(written_bytes_per_day)} a day` : "";
    setText(byId("disk-note"), `${bytes(free_bytes)} of ${bytes(total_bytes)} free${written}${removalOf(stored)}`);
    setAttribute(byId("disk-tile"), "data-tone", short ? "bad" : "");
    setMeter(byId("disk-meter"), 1 - free_bytes / total_bytes);
  }

  clock({ offset_ms, error_ms }) {
    setText(byId("offset"), signed(offset_ms));
    const far = Number.isFinite(offset_ms) && Math.abs(offset_ms) > OFFSET_MS;
    const side = offset_ms < 0 ? "behind" : "ahead";
    const bound = Number.isFinite(error_ms)
      ? `± ${milliseconds(error_ms)}; the exchange's clock is ${side}`
      : "not measured yet";
    setText(byId("offset-note"), far ? `far off: set the clock (${bound})` : bound);
    setAttribute(byId("clock-tile"), "data-tone", far ? "bad" : "");
  }

  weight({ used, limit, stand_down_s }) {
    setText(byId("weight"), count(used));
    const note = limit ? `of ${count(limit)} a minute` : NONE;
    setText(byId("weight-note"), stand_down_s > 0 ? `standing down for ${age(stand_down_s)}` : note);
    setAttribute(byId("weight-tile"), "data-tone", stand_down_s > 0 ? "bad" : "");
    setMeter(byId("weight-meter"), used / limit);
  }
}

// What retention removes next, as text behind the room on the disk.
function removalOf(stored) {
  const next = stored?.removals?.[0];
  if (!next) return "";
  const at = new Date(next.at_ns / 1e6).toISOString().slice(0, 16).replace("T", " ");
  const day = `${next.day.slice(0, 4)}-${next.day.slice(4, 6)}-${next.day.slice(6)}`;
  return `; ${next.format} of ${day} (${bytes(next.bytes)}) goes ${at} UTC by ${next.why}`;
}
