// One namespace over one Manager: events out and in, with acknowledgements, buffering while there is
// no connection, and recovery of what was missed.

import type { AckResult, ArgsBeforeAck, TimedEvents } from "./ack.js";
import { Emitter, listen, type DefaultEventsMap, type EventNames, type EventParams, type EventsMap } from "./emitter.js";
import type { CloseDetails } from "./engine/transport.js";
import type { Manager } from "./manager.js";
import { isObject, PacketType, RESERVED, type Packet } from "./socket/packet.js";
import { after } from "./timer.js";

/** What is sent with CONNECT: an object, or a function that gives one, by its callback or as a promise. */
export type Auth =
  | { [key: string]: any }
  | ((send: (data: object) => void) => void)
  | (() => Promise<object>);

/** The options of one socket. */
export interface SocketOptions {
  auth: Auth;
  /** More than 0: events wait in line and are sent again until acknowledged, this many times more. */
  retries: number;
  /** Milliseconds an acknowledgement may take; default: for ever. */
  ackTimeout: number;
  /** What may wait while there is no connection (default: everything). */
  sendBuffer: SendBufferOptions;
}

/** A cap on what waits to be sent, here and in the queue of `retries`. */
export interface SendBufferOptions {
  /** Most events (default: any number). */
  packets?: number;
  /** Most bytes, about (default: any number). */
  bytes?: number;
  /** Which event gives way when it is full (default `oldest`). */
  drop?: "oldest" | "newest";
  /** Hears of each event that gave way. An acknowledgement with an error first, or a promise, gets an error too. */
  dropped?: (args: any[]) => void;
}

interface Flags {
  compress?: boolean;
  volatile?: boolean;
  timeout?: number;
  /** Sent by the queue of `retries`: must not be queued again. */
  queued?: boolean;
}

interface Queued {
  data: any[];
  flags: Flags;
  tries: number;
  pending: boolean;
  ack: ((...args: any[]) => void) | undefined;
}

interface Ack {
  (...args: any[]): void;
  /** Whether the first argument is for an error. */
  errorFirst?: boolean;
}

interface SocketEvents {
  connect: () => void;
  connect_error: (err: Error & { data?: any; description?: any; context?: any }) => void;
  disconnect: (reason: string, description?: CloseDetails | Error) => void;
}

type AnyListener = (event: string, ...args: any[]) => void;

export class Socket<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<ListenEvents, EmitEvents, SocketEvents> {
  /** This socket's name at the server; none while not connected. */
  id: string | undefined;
  connected = false;
  /** Whether the last connection took up where the one before it broke off. */
  recovered = false;
  /** What is sent with the next CONNECT; may be changed at any time. */
  auth: Auth;
  /** Events from the server that came before its answer to CONNECT. */
  receiveBuffer: any[][] = [];
  /** Packets waiting for the connection. */
  sendBuffer: Packet[] = [];

  private readonly _opts: Partial<SocketOptions>;
  private _flags: Flags = {};
  private _acks = new Map<number, Ack>();
  private _nextId = 0;
  private _queue: Queued[] = [];
  private _subs: (() => void)[] | undefined;
  private _attempt = 0;
  private _pid: string | undefined;
  private _offset: string | undefined;
  private _anyIn: AnyListener[] = [];
  private _anyOut: AnyListener[] = [];

  constructor(
    readonly io: Manager<ListenEvents, EmitEvents>,
    readonly nsp: string,
    opts?: Partial<SocketOptions>,
  ) {
    super();
    this._opts = { ...opts };
    this.auth = (opts && opts.auth) as Auth;
    if (io.opts.autoConnect !== false) this.open();
  }

  /** Whether there is no connection. */
  get disconnected(): boolean {
    return !this.connected;
  }

  /** Whether this socket is connected, or will connect by itself. */
  get active(): boolean {
    return !!this._subs;
  }

  /** Connects, and from then on connects again by itself. */
  connect(): this {
    if (this.connected) return this;
    if (!this._subs) {
      const io = this.io as Emitter<any, any, any>;
      this._subs = [
        listen(io, "open", () => this._opened()),
        listen(io, "packet", (packet) => this._received(packet)),
        listen(io, "error", (err) => this.connected || this.emitReserved("connect_error", err)),
        listen(io, "close", (reason, description) => this._closed(reason, description)),
      ];
    }
    if (!this.io._isReconnecting()) this.io.open();
    if (this.io._isOpen()) this._opened();
    return this;
  }

  /** The same as `connect`. */
  open(): this {
    return this.connect();
  }

  /** Leaves the namespace and stays away until `connect()`. */
  disconnect(): this {
    if (this.connected) this._packet({ type: PacketType.DISCONNECT });
    this._destroy();
    if (this.connected) this._closed("io client disconnect");
    return this;
  }

  /** The same as `disconnect`. */
  close(): this {
    return this.disconnect();
  }

  /** Sends the event `message`. */
  send(...args: any[]): this {
    return (this as any).emit("message", ...args);
  }

  /** Sends an event; a function as last argument is called with the acknowledgement. */
  override emit<Name extends EventNames<EmitEvents>>(event: Name, ...params: EventParams<EmitEvents, Name>): this {
    if (RESERVED.includes(event)) throw new Error(`"${event}" is a reserved event name`);
    const args: any[] = [event, ...params];
    const flags = this._flags;
    this._flags = {};
    if (this._opts.retries! > 0 && !flags.queued && !flags.volatile) {
      this._enqueue(args, flags);
      return this;
    }

    const packet: Packet = {
      type: PacketType.EVENT,
      nsp: this.nsp,
      data: args,
      options: { compress: flags.compress !== false },
    };
    if (typeof args[args.length - 1] == "function") {
      packet.id = this._nextId++;
      this._expectAck(packet.id, args.pop(), flags.timeout ?? this._opts.ackTimeout);
    }
    const session = this.io.engine;
    const alive = this.connected && !session.hasPingExpired();
    if (flags.volatile) {
      // Never waits for anything, not even for the namespace to be joined.
      if (alive && session.transport.writable) this._sendOut(packet);
    } else if (alive) this._sendOut(packet);
    else {
      this.sendBuffer.push(packet);
      this._cap(this.sendBuffer, 0);
    }
    return this;
  }

  /** Sends an event and waits for its acknowledgement; rejects when time is up or the connection lost. */
  emitWithAck<Name extends EventNames<EmitEvents>>(
    event: Name,
    ...args: ArgsBeforeAck<EventParams<EmitEvents, Name>>
  ): Promise<AckResult<EventParams<EmitEvents, Name>>> {
    return new Promise((resolve, reject) => {
      const ack: Ack = (err, result) => (err ? reject(err) : resolve(result));
      ack.errorFirst = true;
      (this as any).emit(event, ...args, ack);
    });
  }

  /** Whether the next event is worth compressing. */
  compress(value: boolean): this {
    this._flags.compress = value;
    return this;
  }

  /** The next event may be lost rather than wait. */
  get volatile(): this {
    this._flags.volatile = true;
    return this;
  }

  /** How long the acknowledgement of the next event may take, in milliseconds. */
  timeout(ms: number): Socket<ListenEvents, TimedEvents<EmitEvents>> {
    this._flags.timeout = ms;
    return this as any;
  }

  /** Hears of every event from the server. */
  onAny(listener: AnyListener): this {
    this._anyIn.push(listener);
    return this;
  }

  /** The same, before all others. */
  prependAny(listener: AnyListener): this {
    this._anyIn.unshift(listener);
    return this;
  }

  /** Removes one such listener, or all. */
  offAny(listener?: AnyListener): this {
    this._anyIn = without(this._anyIn, listener);
    return this;
  }

  listenersAny(): AnyListener[] {
    return this._anyIn;
  }

  /** Hears of every event as it leaves. */
  onAnyOutgoing(listener: AnyListener): this {
    this._anyOut.push(listener);
    return this;
  }

  /** The same, before all others. */
  prependAnyOutgoing(listener: AnyListener): this {
    this._anyOut.unshift(listener);
    return this;
  }

  /** Removes one such listener, or all. */
  offAnyOutgoing(listener?: AnyListener): this {
    this._anyOut = without(this._anyOut, listener);
    return this;
  }

  listenersAnyOutgoing(): AnyListener[] {
    return this._anyOut;
  }

  /** Makes room in a list over its cap, sparing what comes before `first`. */
  private _cap(list: any[], first: number): void {
    const { packets = Infinity, bytes = Infinity, drop, dropped } = this._opts.sendBuffer || {};
    const size = (sum: number, each: any) =>
      sum + (each.size = each.size || this.io._size({ type: PacketType.EVENT, nsp: this.nsp, data: each.data }));
    while (list.length > first && (list.length > packets || (bytes < Infinity && list.reduce(size, 0) > bytes))) {
      const { id, ack = this._acks.get(id), data } = list.splice(drop == "newest" ? -1 : first, 1)[0];
      this._acks.delete(id);
      if (ack && (ack.errorFirst || id === undefined)) ack(new Error("the send buffer is full"));
      if (dropped) dropped(data);
    }
  }

  private _packet(packet: Partial<Packet>): void {
    packet.nsp = this.nsp;
    this.io._packet(packet as Packet);
  }

  private _sendOut(packet: Packet): void {
    for (const each of this._anyOut.slice()) each.apply(this, packet.data);
    this._packet(packet);
  }

  private _expectAck(id: number, ack: Ack, timeout?: number): void {
    if (timeout === undefined) {
      this._acks.set(id, ack);
      return;
    }
    const cancel = after(timeout, this.io.opts, () => {
      this._acks.delete(id);
      // It has not left yet: nobody waits for it any more.
      this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
      ack.call(this, new Error("operation has timed out"));
    });
    const timed: Ack = (...args) => {
      cancel();
      ack.apply(this, args);
    };
    timed.errorFirst = true;
    this._acks.set(id, timed);
  }

  private _opened(): void {
    const attempt = ++this._attempt;
    const send = (data?: object) => {
      // The answer of a slow function may belong to a connection that is gone.
      if (attempt != this._attempt || !this.io._isOpen()) return;
      this._packet({
        type: PacketType.CONNECT,
        data: this._pid ? { pid: this._pid, offset: this._offset, ...data } : data,
      });
    };
    if (typeof this.auth != "function") return send(this.auth);
    const promise: any = this.auth(send);
    if (promise && promise.then) promise.then(send, (err: Error) => attempt == this._attempt && this._refused(err));
  }

  private _refused(err: Error): void {
    this._destroy();
    this.emitReserved("connect_error", err);
  }

  private _closed(reason: string, description?: CloseDetails | Error): void {
    const was = this.connected;
    this._attempt++;
    this.connected = false;
    this.id = undefined;
    if (was) this.emitReserved("disconnect", reason, description);
    this._acks.forEach((ack, id) => {
      if (this.sendBuffer.some((packet) => packet.id === id)) return; // not sent, so still to be answered
      this._acks.delete(id);
      if (ack.errorFirst) ack.call(this, new Error("socket has been disconnected"));
    });
  }

  private _received(packet: Packet): void {
    if (packet.nsp != this.nsp) return;
    const { data } = packet;
    switch (packet.type) {
      case PacketType.CONNECT:
        if (data && data.sid) this._connected(data);
        else {
          this.emitReserved(
            "connect_error",
            new Error("the server is older than socket.io 3: it needs socket.io-client 2"),
          );
        }
        break;
      case PacketType.EVENT:
      case PacketType.BINARY_EVENT:
        this._event(packet);
        break;
      case PacketType.ACK:
      case PacketType.BINARY_ACK: {
        const ack = this._acks.get(packet.id!);
        if (!ack) break; // timed out, or never asked for
        this._acks.delete(packet.id!);
        ack.apply(this, ack.errorFirst ? [null, ...data] : data);
        break;
      }
      case PacketType.DISCONNECT:
        this._destroy();
        this._closed("io server disconnect");
        break;
      case PacketType.CONNECT_ERROR: {
        const refusal = isObject(data) ? data : { message: data };
        this._refused(Object.assign(new Error(refusal.message), { data: refusal.data }));
      }
    }
  }

  private _connected({ sid, pid, offset }: { sid: string; pid?: string; offset?: unknown }): void {
    this.id = sid;
    this.recovered = !!pid && this._pid === pid;
    // A new session begins: an offset of the old one would be unknown to it.
    if (!this.recovered) this._offset = undefined;
    this._pid = pid;
    // Sockeye says where a session begins, so that it can be recovered before its first event.
    if (typeof offset == "string" && this._offset === undefined) this._offset = offset;
    this.connected = true;
    for (const args of this.receiveBuffer.splice(0)) this._deliver(args);
    for (const packet of this.sendBuffer.splice(0)) this._sendOut(packet);
    this._drain(true);
    this.emitReserved("connect");
  }

  private _event({ data, id }: Packet): void {
    const args: any[] = data;
    if (id !== undefined) args.push(this._ackFor(id));
    if (this.connected) this._deliver(args);
    else this.receiveBuffer.push(args);
  }

  private _deliver(args: any[]): void {
    for (const each of this._anyIn.slice()) each.apply(this, args as any);
    this._emit(args[0], args.slice(1));
    // Events that ask for an answer end in a function here: they are not stored, so carry no offset.
    const last = args[args.length - 1];
    if (this._pid && args.length > 1 && isOffset(last)) this._offset = last;
  }

  private _ackFor(id: number): (...args: any[]) => void {
    let sent = false;
    return (...data) => {
      if (sent) return;
      sent = true;
      this._packet({ type: PacketType.ACK, id, data });
    };
  }

  private _enqueue(args: any[], flags: Flags): void {
    const ack = typeof args[args.length - 1] == "function" ? args.pop() : undefined;
    const entry: Queued = { data: args, flags: { ...flags, queued: true }, tries: 0, pending: false, ack };
    this._queue.push(entry);
    if (!this.connected) {
      // The first may have been sent, and its answer be on the way.
      this._cap(this._queue, this._queue[0]!.tries && 1);
    }
    this._drain();
  }

  /** Sends the head of the line of `retries`; `again` even if it was sent, as that was on a lost connection. */
  private _drain(again = false): void {
    const head = this._queue[0];
    if (!this.connected || !head || (head.pending && !again)) return;
    head.pending = true;
    const attempt = ++head.tries;
    const answer: Ack = (err: Error | null, ...results: any[]) => {
      // Only the latest attempt decides.
      if (head !== this._queue[0] || attempt != head.tries) return;
      head.pending = false;
      if (!err || head.tries > this._opts.retries!) {
        this._queue.shift();
        if (head.ack) err ? head.ack(err) : head.ack(null, ...results);
      }
      this._drain();
    };
    // Error-first also without ackTimeout: else the first result would pass for an error.
    answer.errorFirst = true;
    this._flags = head.flags;
    (this as any).emit(...head.data, answer);
  }

  private _destroy(): void {
    if (this._subs) this._subs.forEach((end) => end());
    this._subs = undefined;
    this._attempt++;
    this.io._destroy();
  }
}

function without(list: AnyListener[], listener?: AnyListener): AnyListener[] {
  if (!listener) return [];
  const at = list.indexOf(listener);
  return list.filter((_, index) => index != at);
}

/**
 * Whether a last argument can be the mark that a server leaves on the events it stores. Words of
 * people mostly cannot: the marks of all known adapters are short and made of these characters.
 */
function isOffset(value: unknown): value is string {
  return typeof value == "string" && /^[\w.-]{1,64}$/.test(value);
}
