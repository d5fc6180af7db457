import { Emitter } from "../emitter.js";
import { type TimerOptions } from "../timer.js";
import { type BinaryType, type Packet, type RawData, type WriteOptions } from "./packet.js";
import { type CloseDetails, type Transport, type TransportClass } from "./transport.js";
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
    transportOptions?: {
        [name: string]: any;
    };
    /** WebSocket subprotocols. */
    protocols?: string | string[];
    /** Send cookies to other origins (default false). */
    withCredentials?: boolean;
    /** Headers for polling, and in Node for WebSocket. */
    extraHeaders?: {
        [name: string]: string;
    };
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
export declare class Session extends Emitter<Record<never, never>, Record<never, never>, SessionEvents> {
    id: string | null | undefined;
    transport: Transport;
    readyState: "opening" | "open" | "closing" | "closed";
    writeBuffer: Packet[];
    binaryType: BinaryType;
    /** A probe was answered; the old transport is coming to rest. */
    upgrading: boolean;
    readonly opts: SessionOptions;
    readonly transports: string[];
    private _classes;
    private _upgrades;
    private _inFlight;
    private _maxPayload;
    private _heartbeat;
    private _stopListening;
    private _stopProbes;
    constructor(uri?: string | SessionOptions | null, options?: SessionOptions);
    /** Sends a message. */
    send(data: RawData, options?: WriteOptions, flushed?: () => void): this;
    /** The same as `send`. */
    write(data: RawData, options?: WriteOptions, flushed?: () => void): this;
    /** Ends the session when what is buffered has left and a running upgrade is through. */
    close(): this;
    /** Whether the session is about to end: the server should have been heard of by now, or `close` was called. */
    hasPingExpired(): boolean;
    private _open;
    private _create;
    private _use;
    private _received;
    private _opened;
    /** Tries a better transport beside the one in use: `2probe`, `3probe`, pause the old one, `5`. */
    private _probe;
    private _write;
    private _flush;
    /** As much of the buffer as the server takes in one polling request, at least one packet. */
    private _batch;
    private _drained;
    private _failed;
    private _closed;
}
export {};
