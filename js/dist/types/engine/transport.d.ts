import { Emitter } from "../emitter.js";
import { type BinaryType, type Packet, type RawData } from "./packet.js";
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
export declare const TRANSPORTS: {
    [name: string]: TransportClass;
};
export declare abstract class Transport extends Emitter<Record<never, never>, Record<never, never>, TransportEvents> {
    query: Record<string, unknown>;
    /** Whether a write would leave at once. */
    writable: boolean;
    readyState: "opening" | "open" | "closed" | "pausing" | "paused" | undefined;
    opts: SessionOptions;
    supportsBinary: boolean;
    /** `polling`, `websocket`, … */
    abstract get name(): string;
    protected abstract doOpen(): void;
    protected abstract doClose(): void;
    protected abstract write(packets: Packet[]): void;
    constructor(opts: any);
    open(): this;
    close(): this;
    /** Sends packets; only to be called while `writable`. */
    send(packets: Packet[]): void;
    /** Comes to rest so that another transport can take over; calls `paused` when nothing is on its way. */
    pause(paused: () => void): void;
    /** Goes on after a pause: the other transport failed at the last step. */
    resume(): void;
    protected onOpen(): void;
    protected onData(data: RawData): void;
    protected onPacket(packet: Packet): void;
    protected onError(reason: string, description?: any, context?: any, hint?: string): this;
    protected onClose(details?: CloseDetails): void;
    /** The address of this transport's endpoint; `schema` without the s of encryption. */
    protected createUri(schema: string, query: Record<string, unknown>): string;
    /** The query with a value no cache has seen. */
    protected stamped(): Record<string, unknown>;
}
export { TransportError };
export type { BinaryType, CloseDetails };
