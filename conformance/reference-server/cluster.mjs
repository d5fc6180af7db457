// The cluster half of CONTRACT.md on npm socket.io: the official adapters, and what `POST /do` asks for.
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { sleep } from "../lib/fixture.mjs";
import { pack, unpack } from "../lib/values.mjs";

// A publication that fails is a rejection that Node's adapters leave unhandled: without this, who loses Redis ends.
process.on("unhandledRejection", () => {});

/** The adapter that the flags ask for. */
export async function adapter(flags) {
  const connect = async (options = {}) => {
    const client = createClient({ url: flags.redis, socket: { reconnectStrategy: () => 50 }, ...options });
    // An outage is what some scenarios are about; without a listener it would be the end of the process.
    client.on("error", () => {});
    await client.connect();
    return client;
  };
  const key = flags.key ?? "socket.io";
  const requestsTimeout = flags["requests-timeout"] && Number(flags["requests-timeout"]);
  switch (flags.kind) {
    case "classic":
      return createAdapter(await connect(), await connect(), { key, requestsTimeout, publishOnSpecificResponseChannel: flags.specific });
    case "sharded":
      return createShardedAdapter(await connect(), await connect(), { channelPrefix: key, subscriptionMode: flags.mode ?? "dynamic" });
    case "streams":
      return createStreamsAdapter(await connect(), { streamName: key, channelPrefix: key });
    default:
      throw new Error(`unknown kind ${flags.kind}`);
  }
}

/** What other servers told this one, and what it answers them. */
export function listen(namespace, name, heard) {
  namespace.on("server-note", (...args) => heard.push({ nsp: namespace.name, args: pack(args) }));
  namespace.on("server-question", (...args) => { const answer = args.pop(); answer([name, ...args]); });
}

/** Does what a scenario wants of the cluster, as seen from this server. */
export async function answer(io, command, heard) {
  const { do: what, nsp = "/", rooms = [], except = [], args = [], timeout, close = false, into = [] } = unpack(command);
  const namespace = io.of(nsp);
  let audience = namespace.to(rooms).except(except);
  if (command.volatile) audience = audience.volatile;
  if (command.compress !== undefined) audience = audience.compress(command.compress);
  if (command.local) audience = audience.local;
  if (timeout) audience = audience.timeout(timeout);
  const found = async () => {
    const [socket] = await namespace.in(rooms).fetchSockets();
    return socket;
  };
  switch (what) {
    case "emit":
      audience.emit(...args);
      return null;
    case "burst":
      for (let n = command.from; n < command.to; n++) {
        if (command.every) await sleep(command.every);
        audience.emit(...args, n);
      }
      return null;
    case "call":
      return new Promise((resolve) => {
        audience.emit(...args, (error, answers) => resolve({ answers, missing: error !== null }));
      });
    case "join":
      audience.socketsJoin(into);
      return null;
    case "leave":
      audience.socketsLeave(into);
      return null;
    case "disconnect":
      audience.disconnectSockets(close);
      return null;
    case "fetch":
      return (await audience.fetchSockets()).map(({ id, rooms, data, handshake: { query, auth, headers, ...more } }) =>
        ({ id, rooms: [...rooms].sort(), data, query: { ...query }, auth, header: headers["x-conformance"] ?? null, secure: more.secure, address: more.address }));
    case "rooms":
      return [...await namespace.adapter.allRooms()].sort();
    case "server-emit":
      namespace.serverSideEmit(...args);
      return null;
    case "server-call":
      return new Promise((resolve) => {
        namespace.serverSideEmit(...args, (error, answers) => resolve({ answers, error: error?.message }));
      });
    case "count":
      return namespace.adapter.serverCount();
    case "heard":
      return heard.splice(0);
    case "one-emit":
      (await found()).emit(...args);
      return null;
    case "one-call":
      return (await found()).timeout(timeout).emitWithAck(...args);
    case "one-join":
      (await found()).join(into);
      return null;
    case "one-leave":
      for (const room of into) (await found()).leave(room); // of a local socket it takes one
      return null;
    case "one-disconnect":
      (await found()).disconnect(close);
      return null;
    default:
      throw new Error(`unknown command ${what}`);
  }
}

/** The body of `POST /do` and its answer. */
export function serve(io, heard, request, response) {
  let body = "";
  request.setEncoding("utf8").on("data", (chunk) => { body += chunk; }).on("end", async () => {
    let result;
    try {
      result = { value: pack(await answer(io, JSON.parse(body), heard)) ?? null };
    } catch (error) {
      result = { error: error?.message ?? String(error) };
    }
    response.end(JSON.stringify(result));
  });
}
