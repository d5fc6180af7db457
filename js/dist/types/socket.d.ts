import type { AckResult, ArgsBeforeAck, TimedEvents } from "./ack.js";
import { Emitter, type DefaultEventsMap, type EventNames, type EventParams, type EventsMap } from "./emitter.js";
import type { CloseDetails } from "./engine/transport.js";
import type { Manager } from "./manager.js";
import { type Packet } from "./socket/packet.js";
/** What is sent with CONNECT: an object, or a function that gives one, by its callback or as a promise. */
export type Auth = {
    [key: string]: any;
} | ((send: (data: object) => void) => void) | (() => Promise<object>);
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
interface SocketEvents {
    connect: () => void;
    connect_error: (err: Error & {
        data?: any;
        description?: any;
        context?: any;
    }) => void;
    disconnect: (reason: string, description?: CloseDetails | Error) => void;
}
type AnyListener = (event: string, ...args: any[]) => void;
export declare class Socket<ListenEvents extends EventsMap = DefaultEventsMap, EmitEvents extends EventsMap = ListenEvents> extends Emitter<ListenEvents, EmitEvents, SocketEvents> {
    readonly io: Manager<ListenEvents, EmitEvents>;
    readonly nsp: string;
    /** This socket's name at the server; none while not connected. */
    id: string | undefined;
    connected: boolean;
    /** Whether the last connection took up where the one before it broke off. */
    recovered: boolean;
    /** What is sent with the next CONNECT; may be changed at any time. */
    auth: Auth;
    /** Events from the server that came before its answer to CONNECT. */
    receiveBuffer: any[][];
    /** Packets waiting for the connection. */
    sendBuffer: Packet[];
    private readonly _opts;
    private _flags;
    private _acks;
    private _nextId;
    private _queue;
    private _subs;
    private _attempt;
    private _pid;
    private _offset;
    private _anyIn;
    private _anyOut;
    constructor(io: Manager<ListenEvents, EmitEvents>, nsp: string, opts?: Partial<SocketOptions>);
    /** Whether there is no connection. */
    get disconnected(): boolean;
    /** Whether this socket is connected, or will connect by itself. */
    get active(): boolean;
    /** Connects, and from then on connects again by itself. */
    connect(): this;
    /** The same as `connect`. */
    open(): this;
    /** Leaves the namespace and stays away until `connect()`. */
    disconnect(): this;
    /** The same as `disconnect`. */
    close(): this;
    /** Sends the event `message`. */
    send(...args: any[]): this;
    /** Sends an event; a function as last argument is called with the acknowledgement. */
    emit<Name extends EventNames<EmitEvents>>(event: Name, ...params: EventParams<EmitEvents, Name>): this;
    /** Sends an event and waits for its acknowledgement; rejects when time is up or the connection lost. */
    emitWithAck<Name extends EventNames<EmitEvents>>(event: Name, ...args: ArgsBeforeAck<EventParams<EmitEvents, Name>>): Promise<AckResult<EventParams<EmitEvents, Name>>>;
    /** Whether the next event is worth compressing. */
    compress(value: boolean): this;
    /** The next event may be lost rather than wait. */
    get volatile(): this;
    /** How long the acknowledgement of the next event may take, in milliseconds. */
    timeout(ms: number): Socket<ListenEvents, TimedEvents<EmitEvents>>;
    /** Hears of every event from the server. */
    onAny(listener: AnyListener): this;
    /** The same, before all others. */
    prependAny(listener: AnyListener): this;
    /** Removes one such listener, or all. */
    offAny(listener?: AnyListener): this;
    listenersAny(): AnyListener[];
    /** Hears of every event as it leaves. */
    onAnyOutgoing(listener: AnyListener): this;
    /** The same, before all others. */
    prependAnyOutgoing(listener: AnyListener): this;
    /** Removes one such listener, or all. */
    offAnyOutgoing(listener?: AnyListener): this;
    listenersAnyOutgoing(): AnyListener[];
    /** Makes room in a list over its cap, sparing what comes before `first`. */
    private _cap;
    private _packet;
    private _sendOut;
    private _expectAck;
    private _opened;
    private _refused;
    private _closed;
    private _received;
    private _connected;
    private _event;
    private _deliver;
    private _ackFor;
    private _enqueue;
    /** Sends the head of the line of `retries`; `again` even if it was sent, as that was on a lost connection. */
    private _drain;
    private _destroy;
}
export {};
