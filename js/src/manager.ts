// One connection to one server, shared by the sockets of its namespaces, and opened again when lost.

import { Backoff } from "./backoff.js";
import { Emitter, listen, type DefaultEventsMap, type EventsMap } from "./emitter.js";
import { whenBack } from "./engine/page.js";
import { Session, type SessionOptions } from "./engine/session.js";
import type { CloseDetails } from "./engine/transport.js";
import type { Packet } from "./socket/packet.js";
import { Decoder, Encoder } from "./socket/parser.js";
import { Socket, type SocketOptions } from "./socket.js";
import { after, soon } from "./timer.js";

/** The options of a Manager; times in milliseconds. */
export interface ManagerOptions extends SessionOptions {
  /** Whether the first call to `io()` with the same address gets a connection of its own (default false). */
  forceNew?: boolean;
  /** false is `forceNew` (default true). */
  multiplex?: boolean;
  /** Whether to connect again after a loss (default true). */
  reconnection?: boolean;
  /** How often in a row (default for ever). */
  reconnectionAttempts?: number;
  /** The first delay (default 1000). */
  reconnectionDelay?: number;
  /** The longest delay (default 5000). */
  reconnectionDelayMax?: number;
  /** How far a delay strays, 0 to 1 (default 0.5). */
  randomizationFactor?: number;
  /** How long opening may take (default 20000); false: for ever. */
  timeout?: number | false;
  /** Whether to open at once (default true). */
  autoConnect?: boolean;
  /** Replaces the packet format: an object with the classes `Encoder` and `Decoder`. */
  parser?: any;
}

interface ManagerEvents {
  open: () => void;
  error: (err: Error) => void;
  ping: () => void;
  packet: (packet: Packet) => void;
  close: (reason: string, description?: CloseDetails | Error) => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect: (attempt: number) => void;
  reconnect_error: (err: Error) => void;
  reconnect_failed: () => void;
}

// A connection that held this long was a real one; shorter ones do not shorten the next delay.
const STABLE = 60000;

export class Manager<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<Record<never, never>, Record<never, never>, ManagerEvents> {
  /** The connection, once one was opened. */
  engine!: Session;
  /** The sockets by namespace. */
  nsps: Record<string, Socket<ListenEvents, EmitEvents>> = Object.create(null);
  readonly opts: ManagerOptions;
  readonly backoff: Backoff;

  private _readyState: "closed" | "opening" | "open" = "closed";
  private _uri: string | undefined;
  private _reconnection!: boolean;
  private _attempts!: number;
  private _delay!: number;
  private _delayMax!: number;
  private _jitter!: number;
  private _timeout!: number | false;
  private _reconnecting = false;
  private _givenUp = false;
  private _openedAt = Infinity;
  private _cleanups: (() => void)[] = [];
  private _encoder: any;
  private _decoder: any;

  constructor(uri?: string | ManagerOptions, options?: ManagerOptions) {
    super();
    if (uri && typeof uri == "object") {
      options = uri;
      uri = undefined;
    }
    const opts = (this.opts = { ...options, path: (options && options.path) || "/socket.io" });
    this._uri = uri as string | undefined;
    this.backoff = new Backoff();
    this.reconnection(opts.reconnection !== false);
    this.reconnectionAttempts(opts.reconnectionAttempts || Infinity);
    this.reconnectionDelay(opts.reconnectionDelay || 1000);
    this.reconnectionDelayMax(opts.reconnectionDelayMax || 5000);
    this.randomizationFactor(opts.randomizationFactor ?? 0.5);
    this.timeout(opts.timeout ?? 20000);
    const parser = opts.parser || { Encoder, Decoder };
    this._encoder = new parser.Encoder();
    this._decoder = new parser.Decoder();
    if (opts.autoConnect !== false) this.open();
  }

  /** Reads or sets whether to connect again. */
  reconnection(): boolean;
  reconnection(value: boolean): this;
  reconnection(value?: boolean): this | boolean {
    if (value === undefined) return this._reconnection;
    this._reconnection = !!value;
    if (!value) this._givenUp = true;
    return this;
  }

  /** Reads or sets how often. */
  reconnectionAttempts(): number;
  reconnectionAttempts(value: number): this;
  reconnectionAttempts(value?: number): this | number {
    if (value === undefined) return this._attempts;
    this._attempts = value;
    return this;
  }

  /** Reads or sets the first delay. */
  reconnectionDelay(): number;
  reconnectionDelay(value: number): this;
  reconnectionDelay(value?: number): this | number {
    if (value === undefined) return this._delay;
    this.backoff.setMin((this._delay = value));
    return this;
  }

  /** Reads or sets the longest delay. */
  reconnectionDelayMax(): number;
  reconnectionDelayMax(value: number): this;
  reconnectionDelayMax(value?: number): this | number {
    if (value === undefined) return this._delayMax;
    this.backoff.setMax((this._delayMax = value));
    return this;
  }

  /** Reads or sets how far delays stray. */
  randomizationFactor(): number;
  randomizationFactor(value: number): this;
  randomizationFactor(value?: number): this | number {
    if (value === undefined) return this._jitter;
    this.backoff.setJitter((this._jitter = value));
    return this;
  }

  /** Reads or sets how long opening may take. */
  timeout(): number | false;
  timeout(value: number | false): this;
  timeout(value?: number | false): this | number | false {
    if (value === undefined) return this._timeout;
    this._timeout = value;
    return this;
  }

  /** Opens the connection; `opened` hears of the outcome, and then there is no automatic next attempt. */
  open(opened?: (err?: Error) => void): this {
    if (this._readyState != "closed") return this;
    this._readyState = "opening";
    this._givenUp = false;
    const session = (this.engine = new Session(this._uri, this.opts));
    const settle = [
      listen(session, "open", () => {
        this._settle(settle);
        this._opened();
        if (opened) opened();
      }),
      listen(session, "error", (err) => fail(err)),
      // A transport may end before the handshake without having failed.
      listen(session, "close", (reason) => fail(new Error(reason))),
    ];
    const fail = (err: Error) => {
      this._settle(settle);
      this._cleanup();
      this._readyState = "closed";
      this.emitReserved("error", err);
      if (opened) opened(err);
      else this._maybeReconnect();
    };
    if (this._timeout !== false) {
      settle.push(
        after(this._timeout, this.opts, () => {
          this._settle(settle);
          session.close();
          fail(new Error("timeout"));
        }),
      );
    }
    this._cleanups.push(() => this._settle(settle));
    return this;
  }

  /** The same as `open`. */
  connect(opened?: (err?: Error) => void): this {
    return this.open(opened);
  }

  /** The socket of a namespace; the same one each time. */
  socket(nsp: string, opts?: Partial<SocketOptions>): Socket<ListenEvents, EmitEvents> {
    const known = this.nsps[nsp];
    if (!known) return (this.nsps[nsp] = new Socket<ListenEvents, EmitEvents>(this as any, nsp, opts));
    if (this.opts.autoConnect !== false && !known.active) known.connect();
    return known;
  }

  /** Closes the connection for all its sockets, and does not open it again. */
  disconnect(): void {
    this._givenUp = true;
    this._reconnecting = false;
    this._closed("forced close");
  }

  /** Whether an attempt is waiting or under way. */
  _isReconnecting(): boolean {
    return this._reconnecting;
  }

  _isOpen(): boolean {
    return this._readyState == "open";
  }

  /** A socket is done: when none is left, so is the connection. */
  _destroy(): void {
    for (const nsp of Object.keys(this.nsps)) if (this.nsps[nsp]!.active) return;
    this.disconnect();
  }

  _packet(packet: Packet): void {
    for (const each of this._encoder.encode(packet)) this.engine.write(each, packet.options);
  }

  private _settle(settle: (() => void)[]): void {
    settle.splice(0).forEach((end) => end());
  }

  private _opened(): void {
    this._cleanup();
    this._readyState = "open";
    this._openedAt = Date.now();
    this.emitReserved("open");
    const session = this.engine;
    this._cleanups.push(
      listen(session, "ping", () => this.emitReserved("ping")),
      listen(session, "data", (data) => {
        try {
          this._decoder.add(data);
        } catch (err) {
          this._closed("parse error", err as Error);
        }
      }),
      listen(session, "error", (err) => this.emitReserved("error", err)),
      listen(session, "close", (reason, description) => this._closed(reason, description)),
      // Later, so that what a listener throws is not taken for a malformed packet.
      listen(this._decoder, "decoded", (packet) => soon(() => this.emitReserved("packet", packet))),
      () => this._decoder.destroy(),
    );
  }

  /** About how many bytes a packet takes. */
  _size(packet: Packet): number {
    return this._encoder.encode(packet).reduce((sum: number, part: any) => sum + (part.length || part.byteLength || part.size), 0);
  }

  private _cleanup(): void {
    this._cleanups.splice(0).forEach((end) => end());
  }

  private _closed(reason: string, description?: CloseDetails | Error): void {
    this._cleanup();
    if (this.engine) this.engine.close();
    this.backoff.reset();
    if (Date.now() - this._openedAt >= STABLE) this.backoff.settle();
    this._openedAt = Infinity;
    this._readyState = "closed";
    this.emitReserved("close", reason, description);
    if (this._reconnection && !this._givenUp) this._reconnect();
  }

  private _maybeReconnect(): void {
    // Only the very first opening begins this way; later ones are attempts already.
    if (!this._reconnecting && this._reconnection && !this.backoff.attempts) this._reconnect();
  }

  private _reconnect(lastError?: Error): void {
    if (this._reconnecting || this._givenUp) return;
    if (this.backoff.attempts >= this._attempts) {
      this.backoff.reset();
      if (lastError) this.emitReserved("reconnect_error", lastError);
      this.emitReserved("reconnect_failed");
      return;
    }
    if (lastError) this.emitReserved("reconnect_error", lastError);
    if (this._givenUp) return;
    this._reconnecting = true;
    let waiting = true;
    const attempt = () => {
      if (!waiting) return;
      end();
      if (this._givenUp) return;
      this.emitReserved("reconnect_attempt", this.backoff.attempts);
      if (this._givenUp) return; // by a listener
      this.open((err) => {
        this._reconnecting = false;
        if (err) return this._reconnect(err);
        const attempt = this.backoff.attempts;
        this.backoff.reset();
        this.emitReserved("reconnect", attempt);
      });
    };
    const ends = [after(this.backoff.duration(), this.opts, attempt), whenBack(attempt)];
    const end = () => {
      waiting = false;
      ends.forEach((each) => each());
    };
    this._cleanups.push(end);
  }
}
