// Listeners by event name: the part of Node's EventEmitter that Socket.IO users know, typed.
// It never swallows what a listener throws, and never calls a listener removed before its turn came
// in a later emit.

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
export type ListenerOf<Listen extends EventsMap, Reserved extends EventsMap, Name> = Name extends EventNames<Reserved>
  ? Reserved[Name]
  : Name extends EventNames<Listen>
    ? Listen[Name]
    : never;

type Fn = ((...args: any[]) => void) & { inner?: unknown };

export class Emitter<
  Listen extends EventsMap = DefaultEventsMap,
  Emit extends EventsMap = Listen,
  Reserved extends EventsMap = {},
> {
  private _listenersOf = new Map<unknown, Fn[]>();

  /** Calls `listener` at every `event`; adding it twice calls it twice. */
  on<Name extends EventNames<Reserved> | EventNames<Listen>>(
    event: Name,
    listener: ListenerOf<Listen, Reserved, Name>,
  ): this {
    const list = this._listenersOf.get(event);
    if (list) list.push(listener as Fn);
    else this._listenersOf.set(event, [listener as Fn]);
    return this;
  }

  /** Calls `listener` at the next `event` only. */
  once<Name extends EventNames<Reserved> | EventNames<Listen>>(
    event: Name,
    listener: ListenerOf<Listen, Reserved, Name>,
  ): this {
    const wrapper: Fn = (...args) => {
      this.off(event, wrapper as any);
      (listener as Fn).apply(this, args);
    };
    wrapper.inner = listener;
    return this.on(event, wrapper as any);
  }

  /** Removes one listener of `event`, all of them, or those of all events. */
  off<Name extends EventNames<Reserved> | EventNames<Listen>>(
    event?: Name,
    listener?: ListenerOf<Listen, Reserved, Name>,
  ): this {
    if (!event) this._listenersOf.clear();
    else if (!listener) this._listenersOf.delete(event);
    else {
      const list = this._listenersOf.get(event) || [];
      const at = list.findIndex((each) => each === (listener as unknown) || each.inner === listener);
      if (at >= 0) list.splice(at, 1);
      if (!list.length) this._listenersOf.delete(event);
    }
    return this;
  }

  /** Calls the listeners of `event`. (A `Socket` overrides this: there it sends to the server.) */
  emit<Name extends EventNames<Emit>>(event: Name, ...args: EventParams<Emit, Name>): this {
    return this._emit(event, args);
  }

  /** Calls the listeners of one of the library's own events. */
  emitReserved<Name extends EventNames<Reserved>>(event: Name, ...args: EventParams<Reserved, Name>): this {
    return this._emit(event, args);
  }

  /** The listeners of `event`, as they were given. */
  listeners<Name extends EventNames<Reserved> | EventNames<Listen>>(event: Name): ListenerOf<Listen, Reserved, Name>[] {
    return (this._listenersOf.get(event) || []).map((each) => (each.inner || each) as any);
  }

  /** Whether anybody listens to `event`. */
  hasListeners(event: EventNames<Reserved> | EventNames<Listen>): boolean {
    return this._listenersOf.has(event);
  }

  protected _emit(event: unknown, args: unknown[]): this {
    // A copy: listeners add and remove listeners.
    for (const each of (this._listenersOf.get(event) || []).slice()) each.apply(this, args);
    return this;
  }
}

// The other names of the same methods, which old code uses.
export interface Emitter<Listen, Emit, Reserved> {
  addEventListener: this["on"];
  removeEventListener: this["off"];
  removeListener: this["off"];
  removeAllListeners: this["off"];
}

const proto = Emitter.prototype as any;
proto.addEventListener = proto.on;
proto.removeEventListener = proto.removeListener = proto.removeAllListeners = proto.off;

/** Listens, and gives back what ends it. */
export function listen(to: Emitter<any, any, any>, event: string, listener: (...args: any[]) => void): () => void {
  to.on(event, listener);
  return () => void to.off(event, listener);
}
