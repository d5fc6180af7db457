// One way of carrying packets. A transport knows nothing of heartbeats, upgrades or what a message
// means; it opens, carries, and says when it is writable, closed or broken.

import { bracketed, encodeQuery } from "../address.js";
import { Emitter } from "../emitter.js";
import { decodePacket, type BinaryType, type Packet, type RawData } from "./packet.js";
import { TransportError, type CloseDetails } from "./error.js";
import type { SessionOptions } from "./session.js";

interface TransportEvents {
  open: () => void;
  error: (err: TransportError) => void;
  packet: (packet: Packet) => void;
  close: (details?: CloseDetails) => void;
  poll: () => void;
  pollComplete: () => void;
  drain: () => void;
}

/** A class that makes transports. */
export type TransportClass = new (opts: any) => Transport;

/** The transports by name. An entry (`index.ts`, `node.ts`, `websocket.ts`) fills in those it brings. */
export const TRANSPORTS: { [name: string]: TransportClass } = Object.create(null);

export abstract class Transport extends Emitter<Record<never, never>, Record<never, never>, TransportEvents> {
  query: Record<string, unknown>;
  /** Whether a write would leave at once. */
  writable = false;
  readyState: "opening" | "open" | "closed" | "pausing" | "paused" | undefined;
  opts: SessionOptions;
  supportsBinary: boolean;

  /** `polling`, `websocket`, … */
  abstract get name(): string;
  protected abstract doOpen(): void;
  protected abstract doClose(): void;
  protected abstract write(packets: Packet[]): void;

  constructor(opts: any) {
    super();
    this.opts = opts;
    this.query = opts.query;
    this.supportsBinary = !opts.forceBase64;
  }

  open(): this {
    this.readyState = "opening";
    this.doOpen();
    return this;
  }

  close(): this {
    if (this.readyState != "closed") {
      this.doClose();
      this.onClose();
    }
    return this;
  }

  /** Sends packets; only to be called while `writable`. */
  send(packets: Packet[]): void {
    if (this.readyState == "open") this.write(packets);
  }

  /** Comes to rest so that another transport can take over; calls `paused` when nothing is on its way. */
  pause(paused: () => void): void {
    paused();
  }

  /** Goes on after a pause: the other transport failed at the last step. */
  resume(): void {}

  protected onOpen(): void {
    this.readyState = "open";
    this.writable = true;
    this.emitReserved("open");
  }

  protected onData(data: RawData): void {
    this.onPacket(decodePacket(data, this.opts.binaryType));
  }

  protected onPacket(packet: Packet): void {
    this.emitReserved("packet", packet);
  }

  protected onError(reason: string, description?: any, context?: any, hint?: string): this {
    this.emitReserved("error", new TransportError(reason, description, context, hint));
    return this;
  }

  protected onClose(details?: CloseDetails): void {
    this.readyState = "closed";
    this.emitReserved("close", details);
  }

  /** The address of this transport's endpoint; `schema` without the s of encryption. */
  protected createUri(schema: string, query: Record<string, unknown>): string {
    const { secure, hostname, port, path } = this.opts;
    const usual = secure ? 443 : 80;
    const search = encodeQuery(query);
    return (
      schema +
      (secure ? "s" : "") +
      "://" +
      bracketed(hostname!) +
      (port && +port != usual ? ":" + port : "") +
      path +
      (search && "?" + search)
    );
  }

  /** The query with a value no cache has seen. */
  protected stamped(): Record<string, unknown> {
    const random = Date.now().toString(36).slice(3) + Math.random().toString(36).slice(2, 5);
    return { ...this.query, [this.opts.timestampParam!]: random };
  }
}

export { TransportError };
export type { BinaryType, CloseDetails };
