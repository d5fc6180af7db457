// How long to wait before the next attempt to connect. Pure: the dice are a parameter.

/** What a Backoff is made from; times in milliseconds. */
export interface BackoffOptions {
  /** The first delay (default 100). */
  min?: number;
  /** No delay is longer (default 10000). */
  max?: number;
  /** How far a delay may stray from the plan, 0 to 1; anything else means 0 (default 0). */
  jitter?: number;
}

export class Backoff {
  /** Attempts since the last success. */
  attempts = 0;
  min: number;
  max: number;
  jitter: number;
  // Doublings of the delay. Not the same as `attempts`: a server that accepts and drops at once would
  // otherwise be asked again at the shortest delay for ever.
  private _level = 0;

  constructor(options: BackoffOptions = {}) {
    this.min = options.min || 100;
    this.max = options.max || 10000;
    this.jitter = options.jitter! > 0 && options.jitter! <= 1 ? options.jitter! : 0;
  }

  /**
   * The delay before the next attempt: evenly spread over plan ± jitter, where the plan doubles each
   * time up to `max`. At the ceiling the upper half is cut off but the spread stays, so that a crowd
   * of clients does not come back in step.
   */
  duration(random: () => number = Math.random): number {
    const plan = Math.min(this.max, this.min * 2 ** this._level);
    // Stops growing at the ceiling: 2^1024 would be Infinity, and Infinity − Infinity no delay at all.
    if (plan < this.max) this._level++;
    this.attempts++;
    const low = plan * (1 - this.jitter);
    const high = Math.min(this.max, plan * (1 + this.jitter));
    return Math.trunc(low + random() * (high - low));
  }

  /** Counts attempts from the start again. */
  reset(): void {
    this.attempts = 0;
  }

  /** The connection held long enough to be trusted: the next delay is the shortest again. */
  settle(): void {
    this._level = 0;
  }

  setMin(min: number): void {
    this.min = min;
  }

  setMax(max: number): void {
    this.max = max;
  }

  setJitter(jitter: number): void {
    this.jitter = jitter;
  }
}
