import { Emitter } from "../emitter.js";
import type { SessionOptions } from "./session.js";
export type { SessionOptions };
export declare class Session extends Emitter<Record<never, never>, Record<never, never>, any> {
    id: string | undefined;
    readyState: "opening" | "open" | "closed";
    /** What a Socket asks of the transport, which here is the session itself. */
    readonly transport: {
        name: string;
        readonly writable: boolean;
    };
    readonly opts: SessionOptions;
    private _ws;
    private _heartbeat;
    private _stopListening;
    constructor(uri: string | undefined, options: SessionOptions);
    /** Sends a message. */
    write(data: any, _options?: object): this;
    /** The same as `write`. */
    send(data: any): this;
    /** Ends the session. What was sent leaves first: the WebSocket sees to that. */
    close(): this;
    /** Whether the server should have been heard of by now; if so, the session is about to end. */
    hasPingExpired(): boolean;
    private _send;
    private _received;
    private _opened;
    private _failed;
    private _closed;
    private _end;
}
