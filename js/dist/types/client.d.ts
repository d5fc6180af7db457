import type { DefaultEventsMap, EventsMap } from "./emitter.js";
import { Manager, type ManagerOptions } from "./manager.js";
import { Socket, type SocketOptions } from "./socket.js";
import { protocol } from "./socket/packet.js";
/** Connects to a namespace of a server; with no address, to where the page came from. */
declare function io(opts?: Partial<ManagerOptions & SocketOptions>): Socket;
declare function io(uri: string, opts?: Partial<ManagerOptions & SocketOptions>): Socket;
export { io, io as connect, Manager, Socket, protocol };
export { TransportError } from "./engine/error.js";
export type { Auth, SendBufferOptions } from "./socket.js";
export type { ManagerOptions, SocketOptions, DefaultEventsMap, EventsMap };
