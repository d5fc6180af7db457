// The server's pings: how long one may wait for the next.

import { after, soon, type TimerOptions } from "../timer.js";

export class Heartbeat {
  private _patience = 0;
  private _deadline = Infinity;
  private _stopTimer: () => void = () => {};

  constructor(
    private _options: TimerOptions,
    private _missed: () => void,
  ) {}

  /** Takes the times of the handshake. A server that talks nonsense gets the protocol's own defaults. */
  agree({ pingInterval, pingTimeout }: { pingInterval?: unknown; pingTimeout?: unknown }): void {
    this._patience = positive(pingInterval, 25000) + positive(pingTimeout, 20000);
  }

  /** The server was heard of: begins to wait for its next ping. */
  expect(): void {
    this.stop();
    this._deadline = Date.now() + this._patience;
    this._stopTimer = after(this._patience, this._options, this._missed);
  }

  stop(): void {
    this._stopTimer();
    this._deadline = Infinity;
  }

  /**
   * Whether the ping is overdue by the clock; the first time it is, `missed` is called soon. Timers sleep
   * with the machine, so this is asked before anything is sent: after a sleep it would go into the void.
   */
  expired(): boolean {
    const expired = Date.now() > this._deadline;
    if (expired) {
      this._deadline = Infinity;
      soon(this._missed);
    }
    return expired;
  }
}

export function positive(value: unknown, otherwise: number): number {
  return typeof value == "number" && value > 0 ? value : otherwise;
}
