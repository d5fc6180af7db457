// One Engine.IO session: heartbeat, write buffer, and which transport carries it. Never knows a
// namespace or an event name.
//
// Two rules: a packet is in `writeBuffer` until its transport has taken it, and nothing is written
// between the pause of the old transport and the upgrade packet on the new one.

import { address, decodeQuery, isSecure } from "../address.js";
import { Emitter } from "../emitter.js";
import { onNode, root } from "../root.js";
import { soon, type TimerOptions } from "../timer.js";
import { Heartbeat, positive } from "./heartbeat.js";
import { byteLength, type BinaryType, type Packet, type PacketType, type RawData, type WriteOptions } from "./packet.js";
import { watchPage } from "./page.js";
import { TRANSPORTS, type CloseDetails, type Transport, type TransportClass } from "./transport.js";

/** The options of the connection itself. */
export interface SessionOptions extends TimerOptions {
  host?: string;
  hostname?: string;
  port?: string | number;
  secure?: boolean;
  /** Where on the server (default `/engine.io`; through a Manager `/socket.io`). */
  path?: string;
  /** Whether `path` ends with a slash (default true). */
  addTrailingSlash?: boolean;
  /** Goes with every request. */
  query?: Record<string, any> | string;
  /** What may be used, the first to begin with (default polling, websocket). */
  transports?: string[] | TransportClass[];
  /** The same as classes; not together with `transports`. */
  transportImplementations?: TransportClass[];
  /** Whether a failed beginning goes on with the next of `transports` (default false). */
  tryAllTransports?: boolean;
  /** Whether to move from polling to something better (default true). */
  upgrade?: boolean;
  /** Begin with WebSocket if it worked the last time (default false). */
  rememberUpgrade?: boolean;
  /** Send binary as text (default false). */
  forceBase64?: boolean;
  /** Add a value to each URL that no cache has seen (default: polling only). */
  timestampRequests?: boolean;
  /** The name of that value (default `t`). */
  timestampParam?: string;
  /** Milliseconds a polling request may take; 0: no limit (default). */
  requestTimeout?: number;
  /** Overrides of all of this by transport name. */
  transportOptions?: { [name: string]: any };
  /** WebSocket subprotocols. */
  protocols?: string | string[];
  /** Send cookies to other origins (default false). */
  withCredentials?: boolean;
  /** Headers for polling, and in Node for WebSocket. */
  extraHeaders?: { [name: string]: string };
  /** Browsers: end without a `disconnect` event when the page goes (default false). */
  closeOnBeforeunload?: boolean;
  /** What received binary becomes (default ArrayBuffer; in Node Buffer). */
  binaryType?: BinaryType;
  /** Node: as in `node:https`, and the agent that holds the connections. */
  agent?: any;
  ca?: any;
  cert?: any;
  key?: any;
  pfx?: any;
  passphrase?: string;
  ciphers?: string;
  /** Node: whether the server's certificate must be valid (default true). */
  rejectUnauthorized?: boolean;
  checkServerIdentity?: any;
  localAddress?: string;
  family?: number;
  /** Node: the header `Origin` of a WebSocket. */
  origin?: string;
  /** Node: the greatest message taken from a WebSocket, in bytes (default 100 MiB). */
  maxPayload?: number;
  /** Filled in by the session for its transports. */
  socket?: Session;
}

/** What the server says first. */
export interface Handshake {
  sid: string;
  upgrades: string[];
  pingInterval: number;
  pingTimeout: number;
  maxPayload: number;
}

interface SessionEvents {
  open: () => void;
  handshake: (data: Handshake) => void;
  packet: (packet: Packet) => void;
  packetCreate: (packet: Packet) => void;
  data: (data: RawData) => void;
  message: (data: RawData) => void;
  drain: () => void;
  flush: () => void;
  heartbeat: () => void;
  ping: () => void;
  pong: () => void;
  error: (err: any) => void;
  upgrading: (transport: Transport) => void;
  upgrade: (transport: Transport) => void;
  upgradeError: (err: any) => void;
  close: (reason: string, description?: CloseDetails | Error) => void;
}

// `rememberUpgrade` is a memory of the page, not of one connection.
let websocketWorked = false;

export class Session extends Emitter<Record<never, never>, Record<never, never>, SessionEvents> {
  id: string | null | undefined;
  transport!: Transport;
  readyState: "opening" | "open" | "closing" | "closed" = "closed";
  writeBuffer: Packet[] = [];
  binaryType: BinaryType = onNode ? "nodebuffer" : "arraybuffer";
  /** A probe was answered; the old transport is coming to rest. */
  upgrading = false;
  readonly opts: SessionOptions;
  readonly transports: string[];

  private _classes: { [name: string]: TransportClass } = Object.create(null);
  private _upgrades: string[] = [];
  private _inFlight = 0;
  private _maxPayload = 0;
  private _heartbeat: Heartbeat;
  private _stopListening: () => void = () => {};
  private _stopProbes: (() => void)[] = [];

  constructor(uri?: string | SessionOptions | null, options: SessionOptions = {}) {
    super();
    if (uri && typeof uri == "object") {
      options = uri;
      uri = undefined;
    }
    const opts: SessionOptions = (this.opts = {
      path: "/engine.io",
      addTrailingSlash: true,
      upgrade: true,
      timestampParam: "t",
      transportOptions: {},
      binaryType: this.binaryType,
      ...options,
    });
    this._heartbeat = new Heartbeat(opts, () => this._closed("ping timeout"));
    const page = root.location;
    const from = uri || (page && page.host) ? address(uri as string) : undefined;
    if (uri && from) {
      opts.hostname = from.host;
      opts.port = from.port;
      opts.secure = isSecure(from.protocol);
      if (from.query && !opts.query) opts.query = from.query;
    }
    const elsewhere = opts.hostname || (opts.host && address(opts.host).host);
    opts.secure = opts.secure ?? (!!from && isSecure(from.protocol));
    opts.port = opts.port || (!elsewhere && from && from.port) || (opts.secure ? 443 : 80);
    opts.hostname = elsewhere || (from ? from.host : "localhost");
    if (typeof opts.query == "string") opts.query = decodeQuery(opts.query);
    opts.path = opts.path!.replace(/\/$/, "") + (opts.addTrailingSlash ? "/" : "");
    const classes = opts.transportImplementations;
    if (classes && opts.transports) {
      throw new Error("both `transports` and `transportImplementations`");
    }
    // The order of the official client, which puts polling first because it works everywhere.
    this.transports = ((classes || opts.transports || Object.keys(TRANSPORTS)) as any[]).map((each) => {
      if (typeof each == "string") return each;
      const name: string = each.prototype.name;
      this._classes[name] = each;
      return name;
    });
    this._open();
  }

  /** Sends a message. */
  send(data: RawData, options?: WriteOptions, flushed?: () => void): this {
    this._write("message", data, options, flushed);
    return this;
  }

  /** The same as `send`. */
  write(data: RawData, options?: WriteOptions, flushed?: () => void): this {
    return this.send(data, options, flushed);
  }

  /** Ends the session when what is buffered has left and a running upgrade is through. */
  close(): this {
    const close = () => this._closed("forced close");
    const settle = () => {
      if (!this.upgrading) return close();
      const go = () => {
        this.off("upgrade", go);
        this.off("upgradeError", go);
        close();
      };
      this.on("upgrade", go);
      this.on("upgradeError", go);
    };
    if (this.readyState == "opening" || this.readyState == "open") {
      this.readyState = "closing";
      if (this.writeBuffer.length) this.once("drain", settle);
      else settle();
    }
    return this;
  }

  /** Whether the session is about to end: the server should have been heard of by now, or `close` was called. */
  hasPingExpired(): boolean {
    return this.readyState == "closing" || this._heartbeat.expired();
  }

  private _open(): void {
    if (!this.transports.length) {
      soon(() => this.emitReserved("error", "No transports available"));
      return;
    }
    const remembered = this.opts.rememberUpgrade && websocketWorked && this.transports.includes("websocket");
    this.readyState = "opening";
    const transport = this._create(remembered ? "websocket" : this.transports[0]!);
    if (!transport) {
      soon(() => this._failed(new Error("unknown transport")));
      return;
    }
    this._stopListening = watchPage(this.opts, {
      look: () => this.hasPingExpired(),
      lost: (description) => this._closed("transport close", { description }),
      leave: () => this.transport.off().close(),
    });
    this._use(transport);
    transport.open();
  }

  private _create(name: string): Transport | undefined {
    const Class = this._classes[name] || TRANSPORTS[name];
    if (!Class) return;
    const query: Record<string, unknown> = { ...(this.opts.query as object), EIO: 4, transport: name };
    if (this.id) query.sid = this.id;
    return new Class({ ...this.opts, query, socket: this, ...this.opts.transportOptions![name] });
  }

  private _use(transport: Transport): void {
    if (this.transport) this.transport.off();
    this.transport = transport;
    transport
      .on("drain", () => this._drained())
      .on("packet", (packet) => this._received(packet))
      .on("error", (err) => this._failed(err))
      .on("close", (details) => this._closed("transport close", details));
  }

  private _received(packet: Packet): void {
    if (this.readyState == "closed") return;
    this.emitReserved("packet", packet);
    this.emitReserved("heartbeat");
    switch (packet.type) {
      case "open":
        return this._opened(packet.data);
      case "ping":
        this._write("pong");
        this.emitReserved("ping");
        this.emitReserved("pong");
        return this._heartbeat.expect();
      case "message":
        this.emitReserved("data", packet.data);
        this.emitReserved("message", packet.data);
        return;
      case "error":
        return this._failed(Object.assign(new Error("server error"), { code: packet.data }));
    }
  }

  private _opened(text: string): void {
    let data: Handshake;
    try {
      data = JSON.parse(text);
      if (typeof data.sid != "string" || !data.sid || this.id) throw 0;
    } catch {
      return this._failed(new Error("invalid handshake"));
    }
    this.emitReserved("handshake", data);
    this.id = this.transport.query.sid = data.sid;
    // A server that talks nonsense gets the protocol's own defaults.
    this._heartbeat.agree(data);
    this._maxPayload = positive(data.maxPayload, Infinity);
    this._upgrades = Array.isArray(data.upgrades)
      ? data.upgrades.filter((each) => this.transports.includes(each) && each != this.transport.name)
      : [];
    if (this.readyState == "opening") {
      this.readyState = "open";
      websocketWorked = this.transport.name == "websocket";
      this.emitReserved("open");
      this._flush();
    }
    if (this.readyState == "open" && this.opts.upgrade) this._upgrades.forEach((name) => this._probe(name));
    if ((this.readyState as string) != "closed") this._heartbeat.expect();
  }

  /** Tries a better transport beside the one in use: `2probe`, `3probe`, pause the old one, `5`. */
  private _probe(name: string): void {
    const probe = this._create(name);
    if (!probe) return;
    const end = () => {
      probe.off();
      this._stopProbes = this._stopProbes.filter((each) => each != abandon);
    };
    const abandon = () => {
      end();
      probe.close();
    };
    const fail = (why: string | Error) => {
      abandon();
      if (this.upgrading) this.transport.resume();
      this.upgrading = false;
      const err = Object.assign(new Error("probe error: " + ((why as Error).message || why)), {
        transport: name,
        cause: why,
        hint: (why as any).hint,
      });
      this.emitReserved("upgradeError", err);
      this._flush();
    };
    probe
      .once("open", () => {
        probe.once("packet", (packet) => {
          if (packet.type != "pong" || packet.data != "probe") return fail("unexpected packet");
          // First answer wins.
          this._stopProbes.forEach((each) => each != abandon && each());
          this.upgrading = true;
          this.emitReserved("upgrading", probe);
          websocketWorked = name == "websocket";
          this.transport.pause(() => {
            if (this.readyState == "closed" || !this._stopProbes.includes(abandon)) return;
            end();
            this._use(probe);
            probe.send([{ type: "upgrade" }]);
            this.upgrading = false;
            this.emitReserved("upgrade", probe);
            this._flush();
          });
        });
        probe.send([{ type: "ping", data: "probe" }]);
      })
      .once("error", fail)
      .once("close", () => fail("transport closed"));
    websocketWorked = false;
    this._stopProbes.push(abandon);
    probe.open();
  }

  private _write(type: PacketType, data?: RawData, options: WriteOptions = {}, flushed?: () => void): void {
    if (this.readyState == "closing" || this.readyState == "closed") return;
    const packet: Packet = { type, data, options: { ...options, compress: options.compress !== false } };
    this.emitReserved("packetCreate", packet);
    this.writeBuffer.push(packet);
    if (flushed) this.once("flush", flushed);
    this._flush();
  }

  private _flush(): void {
    if (this.readyState == "closed" || !this.transport.writable || this.upgrading || !this.writeBuffer.length) return;
    const batch = this._batch();
    // How many are on their way; they leave the buffer when the transport has drained.
    this._inFlight = batch.length;
    this.transport.send(batch);
    this.emitReserved("flush");
  }

  /** As much of the buffer as the server takes in one polling request, at least one packet. */
  private _batch(): Packet[] {
    if (this.transport.name != "polling") return this.writeBuffer.slice();
    let size = 0;
    const end = this.writeBuffer.findIndex((packet, at) => {
      size += 2 + (packet.data ? byteLength(packet.data) : 0); // its type and a separator
      return at > 0 && size - 1 > this._maxPayload;
    });
    return end < 0 ? this.writeBuffer.slice() : this.writeBuffer.slice(0, end);
  }

  private _drained(): void {
    this.writeBuffer.splice(0, this._inFlight);
    this._inFlight = 0;
    if (this.writeBuffer.length) this._flush();
    else this.emitReserved("drain");
  }

  private _failed(err: any): void {
    websocketWorked = false;
    if (this.opts.tryAllTransports && this.transports.length > 1 && this.readyState == "opening") {
      this.transports.shift();
      this._stopListening();
      return this._open();
    }
    this.emitReserved("error", err);
    this._closed("transport error", err);
  }

  private _closed(reason: string, description?: CloseDetails | Error): void {
    if (this.readyState == "closed") return;
    this.readyState = "closed";
    this._heartbeat.stop();
    this._stopProbes.forEach((each) => each());
    this._stopListening();
    if (this.transport) this.transport.off().close();
    this.id = null;
    this.emitReserved("close", reason, description);
    this.writeBuffer = [];
    this._inFlight = 0;
  }
}
