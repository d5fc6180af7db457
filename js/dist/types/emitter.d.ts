/** What maps event names to listener signatures; users write interfaces of their own. */
export interface EventsMap {
    [event: string]: any;
}
/** Any event name, any arguments: what one gets without saying more. */
export interface DefaultEventsMap {
    [event: string]: (...args: any[]) => void;
}
/** The event names of a map. */
export type EventNames<Map extends EventsMap> = keyof Map & string;
/** The arguments of one event. */
export type EventParams<Map extends EventsMap, Name extends EventNames<Map>> = Parameters<Map[Name]>;
/** The listener of one event, the library's own events (`Reserved`) going before the user's. */
export type ListenerOf<Listen extends EventsMap, Reserved extends EventsMap, Name> = Name extends EventNames<Reserved> ? Reserved[Name] : Name extends EventNames<Listen> ? Listen[Name] : never;
export declare class Emitter<Listen extends EventsMap = DefaultEventsMap, Emit extends EventsMap = Listen, Reserved extends EventsMap = {}> {
    private _listenersOf;
    /** Calls `listener` at every `event`; adding it twice calls it twice. */
    on<Name extends EventNames<Reserved> | EventNames<Listen>>(event: Name, listener: ListenerOf<Listen, Reserved, Name>): this;
    /** Calls `listener` at the next `event` only. */
    once<Name extends EventNames<Reserved> | EventNames<Listen>>(event: Name, listener: ListenerOf<Listen, Reserved, Name>): this;
    /** Removes one listener of `event`, all of them, or those of all events. */
    off<Name extends EventNames<Reserved> | EventNames<Listen>>(event?: Name, listener?: ListenerOf<Listen, Reserved, Name>): this;
    /** Calls the listeners of `event`. (A `Socket` overrides this: there it sends to the server.) */
    emit<Name extends EventNames<Emit>>(event: Name, ...args: EventParams<Emit, Name>): this;
    /** Calls the listeners of one of the library's own events. */
    emitReserved<Name extends EventNames<Reserved>>(event: Name, ...args: EventParams<Reserved, Name>): this;
    /** The listeners of `event`, as they were given. */
    listeners<Name extends EventNames<Reserved> | EventNames<Listen>>(event: Name): ListenerOf<Listen, Reserved, Name>[];
    /** Whether anybody listens to `event`. */
    hasListeners(event: EventNames<Reserved> | EventNames<Listen>): boolean;
    protected _emit(event: unknown, args: unknown[]): this;
}
export interface Emitter<Listen, Emit, Reserved> {
    addEventListener: this["on"];
    removeEventListener: this["off"];
    removeListener: this["off"];
    removeAllListeners: this["off"];
}
/** Listens, and gives back what ends it. */
export declare function listen(to: Emitter<any, any, any>, event: string, listener: (...args: any[]) => void): () => void;
