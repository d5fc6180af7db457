import { Backoff } from "./backoff.js";
import { Emitter, type DefaultEventsMap, type EventsMap } from "./emitter.js";
import { Session, type SessionOptions } from "./engine/session.js";
import type { CloseDetails } from "./engine/transport.js";
import type { Packet } from "./socket/packet.js";
import { Socket, type SocketOptions } from "./socket.js";
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
export declare class Manager<ListenEvents extends EventsMap = DefaultEventsMap, EmitEvents extends EventsMap = ListenEvents> extends Emitter<Record<never, never>, Record<never, never>, ManagerEvents> {
    /** The connection, once one was opened. */
    engine: Session;
    /** The sockets by namespace. */
    nsps: Record<string, Socket<ListenEvents, EmitEvents>>;
    readonly opts: ManagerOptions;
    readonly backoff: Backoff;
    private _readyState;
    private _uri;
    private _reconnection;
    private _attempts;
    private _delay;
    private _delayMax;
    private _jitter;
    private _timeout;
    private _reconnecting;
    private _givenUp;
    private _openedAt;
    private _cleanups;
    private _encoder;
    private _decoder;
    constructor(uri?: string | ManagerOptions, options?: ManagerOptions);
    /** Reads or sets whether to connect again. */
    reconnection(): boolean;
    reconnection(value: boolean): this;
    /** Reads or sets how often. */
    reconnectionAttempts(): number;
    reconnectionAttempts(value: number): this;
    /** Reads or sets the first delay. */
    reconnectionDelay(): number;
    reconnectionDelay(value: number): this;
    /** Reads or sets the longest delay. */
    reconnectionDelayMax(): number;
    reconnectionDelayMax(value: number): this;
    /** Reads or sets how far delays stray. */
    randomizationFactor(): number;
    randomizationFactor(value: number): this;
    /** Reads or sets how long opening may take. */
    timeout(): number | false;
    timeout(value: number | false): this;
    /** Opens the connection; `opened` hears of the outcome, and then there is no automatic next attempt. */
    open(opened?: (err?: Error) => void): this;
    /** The same as `open`. */
    connect(opened?: (err?: Error) => void): this;
    /** The socket of a namespace; the same one each time. */
    socket(nsp: string, opts?: Partial<SocketOptions>): Socket<ListenEvents, EmitEvents>;
    /** Closes the connection for all its sockets, and does not open it again. */
    disconnect(): void;
    /** Whether an attempt is waiting or under way. */
    _isReconnecting(): boolean;
    _isOpen(): boolean;
    /** A socket is done: when none is left, so is the connection. */
    _destroy(): void;
    _packet(packet: Packet): void;
    private _settle;
    private _opened;
    /** About how many bytes a packet takes. */
    _size(packet: Packet): number;
    private _cleanup;
    private _closed;
    private _maybeReconnect;
    private _reconnect;
}
export {};
