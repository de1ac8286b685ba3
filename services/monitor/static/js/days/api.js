// Questions to the monitor's HTTP API (docs/http-api.md): one at a time of each kind, the newest one counts.

const KEY = "recorder-token"; // kept for this tab alone

/** A refusal, with the monitor's own sentence. `status` is 0 where nobody answered. */
export class Refusal extends Error {
  constructor(status, error, known) {
    super(error);
    this.status = status;
    this.known = known ?? [];
  }
}

export const setToken = (token) => sessionStorage.setItem(KEY, token);

function headers() {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Asks, and forgets the question before: its answer is not wanted any more. */
export class Asker {
  constructor(path) {
    this.path = path;
    this.under = null;
  }

  /** The answer; null where another question of this kind came meanwhile. Throws `Refusal`. */
  async ask(words, read = (answer) => answer.json()) {
    this.stop();
    const own = new AbortController();
    this.under = own;
    try {
      const answer = await fetch(`api/${this.path}?${new URLSearchParams(words)}`, {
        headers: headers(),
        signal: own.signal,
      });
      if (!answer.ok) throw await refusalOf(answer);
      const found = await read(answer);
      return own.signal.aborted ? null : found;
    } catch (error) {
      if (own.signal.aborted) return null;
      throw error instanceof Refusal ? error : new Refusal(0, "The monitor does not answer.");
    }
  }

  stop() {
    this.under?.abort();
  }
}

async function refusalOf(answer) {
  try {
    const { error, known } = await answer.json();
    return new Refusal(answer.status, String(error), known);
  } catch {
    return new Refusal(answer.status, `The monitor answered ${answer.status}.`);
  }
}

/** JSON lines as values, and whether there are more. */
export async function lines(answer) {
  const text = await answer.text();
  const rows = text
    .split("\n")
    .filter((line) => line)
    .map((line) => JSON.parse(line));
  return { rows, isCut: answer.headers.has("link") };
}
