// `io()` and everything that is public, without transports: those come with the entries.

import { address, decodeQuery } from "./address.js";
import type { DefaultEventsMap, EventsMap } from "./emitter.js";
import { Manager, type ManagerOptions } from "./manager.js";
import { Socket, type SocketOptions } from "./socket.js";
import { protocol } from "./socket/packet.js";

// The managers by server, so that namespaces share a connection.
const cache = new Map<string, Manager>();

/** Connects to a namespace of a server; with no address, to where the page came from. */
function io(opts?: Partial<ManagerOptions & SocketOptions>): Socket;
function io(uri: string, opts?: Partial<ManagerOptions & SocketOptions>): Socket;
function io(uri?: any, opts?: any): Socket {
  if (uri && typeof uri == "object") {
    opts = uri;
    uri = undefined;
  }
  opts = { ...opts };
  const at = address(uri, opts.path || "/socket.io");
  if (at.query && !opts.query) opts.query = decodeQuery(at.query);
  const known = cache.get(at.id);
  const own = opts.forceNew || opts["force new connection"] || opts.multiplex === false || (known && at.path in known.nsps);
  let manager = known;
  if (own || !manager) {
    manager = new Manager(at.href, opts);
    if (!own) cache.set(at.id, manager);
  }
  return manager.socket(at.path, opts);
}

// The function carries the rest, for those who load it with a script element.
Object.assign(io, { io, connect: io, Manager, Socket, protocol });

export { io, io as connect, Manager, Socket, protocol };
export { TransportError } from "./engine/error.js";
export type { Auth, SendBufferOptions } from "./socket.js";
export type { ManagerOptions, SocketOptions, DefaultEventsMap, EventsMap };
