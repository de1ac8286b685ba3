// The connection to the monitor: opened again whenever it ends, and judged by what comes, not by its state.

const SILENT_MS = 4000; // of a snapshot a second
const STUCK_MS = 15000; // open and silent for so long: a new connection
const RETRY_MS = 2000;

export class Feed {
  constructor(url, take, told) {
    this.url = url;
    this.take = take;
    this.told = told;
    this.source = null;
    this.came = performance.now();
    this.tried = 0;
    this.connected = false;
  }

  start() {
    this.open();
    setInterval(() => this.look(), 500);
  }

  open() {
    this.source?.close();
    this.tried = performance.now();
    this.source = new EventSource(this.url);
    this.source.onmessage = (event) => this.receive(event.data);
    this.source.onerror = () => this.tell(false);
  }

  receive(data) {
    let snapshot;
    try {
      snapshot = JSON.parse(data);
    } catch {
      return; // it counts as silence
    }
    this.came = performance.now();
    this.take(snapshot);
    this.tell(true);
  }

  look() {
    const now = performance.now();
    const silent = now - this.came;
    if (silent > SILENT_MS || !this.connected) this.tell(false);
    const closed = this.source.readyState === EventSource.CLOSED; // it gives up after an answer that is no stream
    if ((closed && now - this.tried > RETRY_MS) || (silent > STUCK_MS && now - this.tried > STUCK_MS)) this.open();
  }

  tell(connected) {
    this.connected = connected;
    this.told(connected, (performance.now() - this.came) / 1000);
  }
}
