// What both clients go through for `differential.test.mjs`. A scenario gets an `io` of unknown make and writes down what
// happens; the order in which it is written is what is compared. No scenario knows whose client or server it has.
import { next, until, within } from "./fixture.mjs";

const WAYS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
  base64: { transports: ["websocket"], forceBase64: true },
};

/** A value as it can be compared: what is random or belongs to one client only is left out. */
export function plain(value) {
  if (value instanceof Error) return { error: value.message, ...(value.data === undefined ? {} : { data: value.data }), ...(value.type ? { type: value.type } : {}) };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { bytes: bytes.length > 40 ? `${bytes.length} bytes, ${bytes[0]}…${bytes.at(-1)}` : bytes.toString("hex"), kind: value.constructor.name };
  }
  if (typeof value === "function") return "ƒ";
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  if (typeof value === "string" && value.length > 200) return `${value.length} characters`;
  return value === undefined ? "undefined" : value;
}

/** The stage of one run: a client, a server, and the list of what happened. */
export function stage(io, url, options) {
  const seen = [];
  const open = [];
  const log = (what, ...args) => seen.push([what, ...args.map(plain)]);
  const it = {
    seen,
    log,
    url,
    /** A socket whose own events are written down, unless its name is null. */
    client(path = "/", more = {}, name = "") {
      const socket = io(url + path, { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20, randomizationFactor: 0, ...options, ...more });
      open.push(socket);
      return name === null ? socket : it.watch(socket, name);
    },
    watch(socket, name = "") {
      if (!open.includes(socket)) open.push(socket);
      socket.on("connect", () => log(name + "connect", socket.connected, socket.active, typeof socket.id));
      socket.on("disconnect", (reason, details) => log(name + "disconnect", reason, socket.connected, socket.active, details?.description ?? "-"));
      socket.on("connect_error", (err) => log(name + "connect_error", err, socket.active));
      return socket;
    },
    /** The Manager's events too. */
    manager(socket, ...names) {
      for (const event of names) socket.io.on(event, (...args) => log("manager " + event, ...args.map((arg) => (arg instanceof Error ? arg.message : arg))));
    },
    async up(path, more, name) {
      const socket = it.client(path, more, name);
      // The server says something right away: after that it is quiet.
      await Promise.all([next(socket, "connect"), next(socket, "auth")]);
      if (options.transports?.length === 2) await until("the upgrade", () => socket.io.engine.transport.name === "websocket");
      return socket;
    },
    /** Waits until so many things have happened, and then as long as nothing more should. */
    async heard(count) {
      await until(`${count} events`, () => seen.length >= count);
      await quiet();
    },
    end: () => open.forEach((socket) => socket.disconnect()),
  };
  return it;
}

const quiet = (ms = 40) => new Promise((resolve) => setTimeout(resolve, ms));

const behaviours = {
  async "connects and is known"({ up, log }) {
    const socket = await up("/?a=1&b=%20c", { auth: { name: "x" }, extraHeaders: { "x-conformance": "h" } });
    const { id, query, ...who } = await socket.emitWithAck("who");
    log("who", id === socket.id, query.a, query.b, who, socket.nsp, socket.disconnected);
  },
  async "recovered, where nothing can be"({ up, log }) {
    log("recovered", (await up()).recovered);
  },
  async "values by ack"({ up, log, heard }) {
    const socket = await up();
    const values = [0, -0, 1.5, 2 ** 53, "", "é€😀\u0000", true, null, undefined, NaN, Infinity, [], {}, { a: [{ b: undefined, c: 1 }] }, new Date(0)];
    socket.emit("echo", ...values, (...args) => log("ack", ...args));
    await heard(2);
  },
  async "values by event"({ up, log, heard }) {
    const socket = await up();
    socket.on("echo", (...args) => log("echo", ...args));
    socket.emit("echo", { toJSON: () => "json" }, [undefined, () => {}], Object.create({ inherited: 1 }), new Map([[1, 2]]));
    socket.emit("echo");
    await heard(3);
  },
  async "names of the prototype"({ up, log, heard }) {
    const socket = await up();
    socket.on("echo", (value) => log("echo", Object.keys(value), value.constructor, Object.getPrototypeOf(value) === Object.prototype));
    socket.emit("echo", JSON.parse('{"__proto__":{"x":1},"constructor":2,"hasOwnProperty":3}'));
    await heard(2);
    socket.on("toString", () => log("toString heard"));
    socket.emit("emit-after", 0, "toString");
    await heard(3);
  },
  async "binary, nested and many"({ up, log }) {
    const socket = await up();
    const raw = Uint8Array.from({ length: 300 }, (_, at) => at);
    for (const data of [raw, raw.buffer, raw.subarray(2, 9), new Uint16Array([1, 2, 3]), new DataView(raw.buffer, 3, 4), Buffer.from("buffer"), new Uint8Array(0)]) {
      log("ack", await socket.emitWithAck("echo", { deep: [[data]], beside: "text" }));
    }
    socket.on("echo", (...args) => log("echo", ...args));
    socket.emit("echo", Buffer.from("1"), "between", Buffer.from("2"), { three: Buffer.from("3") });
    await next(socket, "echo");
  },
  async "a placeholder that is data"({ up, log }) {
    const socket = await up();
    log("ack", await socket.emitWithAck("echo", { _placeholder: false, num: 0 }));
  },
  async "the server asks"({ up, log }) {
    const socket = await up();
    socket.on("question", (value, ack) => {
      log("question", value, ack);
      ack(value, "second");
      ack("again");
    });
    socket.on("answered", (...args) => log("answered", ...args));
    socket.emit("ask", "why");
    await next(socket, "answered");
  },
  async "the server asks with binary"({ up, log }) {
    const socket = await up();
    socket.on("question", (value, ack) => ack({ back: value }));
    socket.on("answered", (...args) => log("answered", ...args));
    socket.emit("ask", Buffer.from("why"));
    await next(socket, "answered");
  },
  async "several namespaces on one connection"({ client, watch, log }) {
    const main = client("/", {}, "main ");
    await next(main, "connect");
    const custom = watch(main.io.socket("/custom"), "custom ");
    await next(custom, "connect");
    log("same", main.io === custom.io, main.id === custom.id, Object.keys(main.io.nsps));
    log("nsp", (await custom.emitWithAck("who")).nsp);
    main.disconnect();
    log("custom lives", await custom.emitWithAck("echo", 1));
    custom.disconnect();
    await quiet();
    main.connect();
    await next(main, "connect");
  },
  async "refused, then let in"({ client, log }) {
    const socket = client("/admin", { auth: { token: "no" } });
    await next(socket, "connect_error");
    await quiet();
    log("state", socket.connected, socket.active, socket.id);
    socket.auth = { token: "secret" };
    socket.connect();
    await next(socket, "connect");
    log("who", (await socket.emitWithAck("who")).auth);
  },
  async "refused as one of two"({ client, watch, log }) {
    const main = client("/", { auth: { token: "no" } }, "main ");
    await next(main, "connect");
    const admin = watch(main.io.socket("/admin", { auth: { token: "no" } }), "admin ");
    await next(admin, "connect_error");
    log("main lives", await main.emitWithAck("echo", 1), admin.active);
  },
  async "no such namespace"({ client }) {
    await next(client("/nowhere"), "connect_error");
  },
  async "written before the connection"({ client, log, heard }) {
    const socket = client("/slow", { auth: { wait: 30 } });
    socket.on("echo", (n) => log("echo", n));
    for (let i = 0; i < 5; i++) socket.emit("echo", i);
    log("buffered", socket.sendBuffer.length);
    await heard(7);
  },
  async "an ack that is late"({ up, log, heard }) {
    const socket = await up();
    socket.timeout(20).emit("late", 200, "x", (err, value) => log("ack", err, value));
    await quiet(260);
    socket.timeout(5000).emit("late", 10, "x", (err, value) => log("ack", err, value));
    await heard(3);
  },
  async "a promise that is late"({ up, log }) {
    const socket = await up();
    await socket.timeout(20).emitWithAck("late", 1000).catch((err) => log("rejected", err));
    log("resolved", await socket.timeout(5000).emitWithAck("late", 5, "value", "second"));
  },
  async "timed out before it was sent"({ client, log }) {
    const socket = client("/slow", { auth: { wait: 400 } });
    socket.timeout(20).emit("echo", "never", (err) => log("ack", err, socket.sendBuffer.length));
    socket.on("echo", () => log("echo"));
    await next(socket, "connect");
    await quiet();
  },
  async "acks of a lost connection"({ up, log }) {
    const socket = await up();
    socket.emit("late", 500, () => log("plain ack"));
    socket.timeout(5000).emit("late", 500, (err) => log("timed ack", err));
    const promise = socket.emitWithAck("late", 500).catch((err) => log("promise", err));
    socket.disconnect();
    await promise;
    await quiet();
  },
  async "kicked from the namespace"({ up, log }) {
    const socket = await up();
    socket.emit("kick", false);
    await next(socket, "disconnect");
    await quiet();
    log("state", socket.active, socket.connected, socket.id);
    socket.connect();
    await next(socket, "connect");
  },
  async "thrown out"({ up, log }) {
    const socket = await up();
    socket.emit("kick", true);
    await next(socket, "disconnect");
    await quiet();
    log("state", socket.active);
  },
  async "leaves and comes back"({ up, log, heard }) {
    const socket = await up();
    const { id } = socket;
    socket.disconnect();
    socket.disconnect();
    log("state", socket.active, socket.id);
    socket.emit("echo", "while away");
    socket.on("echo", (text) => log("echo", text));
    socket.connect().connect();
    await heard(5);
    log("other id", id !== socket.id);
  },
  async "onAny, in and out"({ up, log }) {
    const socket = await up();
    const [a, b] = [(...args) => log("a", ...args), (...args) => log("b", ...args)];
    socket.onAny(a).prependAny(b).onAnyOutgoing(a).prependAnyOutgoing(b);
    log("lists", socket.listenersAny().length, socket.listenersAnyOutgoing().length);
    socket.on("echo", (...args) => log("echo", ...args));
    socket.emit("echo", 1, { two: 2 });
    await next(socket, "echo");
    socket.offAny(a).offAnyOutgoing(b);
    socket.emit("echo", "with ack", () => log("ack"));
    socket.emit("echo", 3);
    await next(socket, "echo");
    socket.offAny().offAnyOutgoing();
    socket.emit("echo", 4);
    await next(socket, "echo");
  },
  async "once, off, and who listens"({ up, log }) {
    const socket = await up();
    const listener = (n) => log("heard", n);
    socket.once("echo", listener).on("echo", listener).on("echo", listener);
    log("listeners", socket.listeners("echo").length, socket.hasListeners("echo"), socket.hasListeners("other"));
    socket.emit("echo", 1);
    await next(socket, "echo");
    socket.off("echo", listener);
    socket.emit("echo", 2);
    await next(socket, "echo");
    socket.removeAllListeners("echo");
    log("none", socket.hasListeners("echo"));
  },
  async "volatile, while connected"({ up, log }) {
    const socket = await up();
    socket.on("echo", (n) => log("echo", n));
    // By polling the request that joined the namespace may still be under way.
    await until("room for it", () => socket.io.engine.transport.writable);
    socket.volatile.emit("echo", 1);
    await next(socket, "echo");
    log("acked", await socket.emitWithAck("echo", "reliable"));
  },
  async "volatile, before the connection"({ client, log }) {
    const socket = client("/", { autoConnect: false });
    socket.on("echo", (n) => log("echo", n));
    socket.volatile.emit("echo", "lost");
    socket.emit("echo", "kept");
    log("buffered", socket.sendBuffer.length);
    socket.connect();
    await next(socket, "echo");
    await quiet();
  },
  async "many at once, both ways"({ up, log }) {
    const socket = await up();
    const [numbers, echoes] = [[], []];
    socket.on("n", (n) => numbers.push(n)).on("echo", (n) => echoes.push(n));
    socket.emit("burst", 200);
    for (let i = 0; i < 200; i++) socket.emit("echo", i);
    await until("all", () => numbers.length + echoes.length === 400);
    log("in order", numbers.every((n, at) => n === at), echoes.every((n, at) => n === at));
  },
  async "acks of many, each its own"({ up, log }) {
    const socket = await up();
    log("acks", await Promise.all([40, 5, 20, 0].map((ms, at) => socket.emitWithAck("late", ms, at))));
  },
  async "send, and an event called message"({ up, log }) {
    const socket = await up();
    socket.onAnyOutgoing((...args) => log("out", ...args));
    socket.on("message", (...args) => log("message", ...args));
    socket.send("a", 1);
    socket.emit("emit-after", 0, "message", "from the server", 2);
    await next(socket, "message");
  },
  async "retries in line"({ up, log, heard }) {
    const socket = await up("/", { retries: 2, ackTimeout: 400 });
    socket.onAnyOutgoing((event, ms) => log("out", event, ms));
    socket.emit("late", 4000, "slow", (err) => log("gave up", err));
    socket.emit("late", 0, "fast", (err, value) => log("ack", err, value));
    await heard(7);
  },
  async "the connection below is closed by the client"({ up, manager, log }) {
    const socket = await up();
    manager(socket, "open", "close", "reconnect_attempt", "reconnect", "reconnect_error");
    // What is written while the engine waits for its buffer, the official client loses.
    await until("an empty buffer", () => socket.io.engine.writeBuffer.length === 0);
    socket.io.engine.close();
    socket.emit("echo", "buffered");
    socket.on("echo", (text) => log("echo", text));
    await next(socket, "echo");
  },
  async "auth as a function"({ client, log }) {
    let calls = 0;
    const socket = client("/", { auth: (send) => setTimeout(() => send({ call: ++calls }), 5) });
    socket.on("auth", (auth) => log("auth", auth));
    await next(socket, "auth");
    socket.disconnect().connect();
    await next(socket, "auth");
  },
  async "opened by hand"({ client, log, manager }) {
    const socket = client("/", { autoConnect: false });
    manager(socket, "open", "close");
    log("state", socket.connected, socket.active, socket.disconnected, socket.id);
    await within(3000, "open", new Promise((resolve) => socket.io.open((err) => (log("opened", err), resolve()))));
    await quiet();
    log("still", socket.connected);
    socket.open();
    log("active", socket.active);
    await next(socket, "connect");
  },
  async "names that are reserved"({ up, log }) {
    const socket = await up();
    for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error", "ping"]) {
      try {
        socket.emit(name, 1);
        log("sent", name);
      } catch (err) {
        log("thrown", err.message);
      }
    }
    log("lives", await socket.emitWithAck("echo", 1));
  },
  async "left in the connect listener"({ client }) {
    const socket = client();
    socket.once("connect", () => socket.disconnect());
    await next(socket, "disconnect");
    await quiet();
  },
  async "written in the disconnect listener"({ up, log }) {
    const socket = await up();
    socket.once("disconnect", () => socket.emit("echo", "from the listener"));
    socket.on("echo", (text) => log("echo", text));
    socket.io.engine.close();
    await next(socket, "echo");
  },
  async "rooms"({ up, log, heard }) {
    const [a, b] = [await up("/", {}, "a "), await up("/", {}, "b ")];
    a.on("news", (...args) => log("a", ...args));
    b.on("news", (...args) => log("b", ...args));
    const room = `room ${Math.random()}`; // several run at once
    await a.emitWithAck("join", room);
    await b.emitWithAck("send-to", [room, "other"], "news", 1, Buffer.from("x"));
    await heard(3);
  },
  async "long text and long binary"({ up, log }) {
    const socket = await up();
    log("text", await socket.emitWithAck("echo", "x€".repeat(60000)));
    log("binary", await socket.emitWithAck("echo", Buffer.alloc(200000, 7)));
  },
  async "compress, and flags that end with their event"({ up, log }) {
    const socket = await up();
    log("1", await socket.compress(false).emitWithAck("echo", 1));
    log("2", await socket.compress(true).timeout(1000).emitWithAck("echo", 2));
    const promise = socket.emitWithAck("late", 30, "no timeout left over");
    log("3", await promise);
  },
  async "events that arrive before the answer to CONNECT are kept"({ client, log }) {
    const socket = client();
    socket.on("auth", () => log("auth", socket.connected));
    await next(socket, "auth");
  },
  async "what a listener does to the list of listeners"({ up, log }) {
    const socket = await up();
    socket.on("echo", () => {
      log("first");
      socket.on("echo", () => log("added"));
      socket.off("echo", last);
    });
    const last = () => log("removed by the first");
    socket.on("echo", last);
    socket.emit("echo", 1);
    await next(socket, "echo");
    socket.emit("echo", 1);
    await next(socket, "echo");
  },
};

// What does not depend on the way.
const others = {
  async "nobody there"({ client, manager, log }) {
    const socket = client("/", { reconnectionAttempts: 2, transports: ["polling"] });
    manager(socket, "open", "close", "reconnect_attempt", "reconnect_error", "reconnect_failed", "error");
    await next(socket.io, "reconnect_failed");
    await quiet();
    log("state", socket.active, socket.connected);
  },
  async "nobody there, by WebSocket, without reconnection"({ client, log }) {
    const socket = client("/", { transports: ["websocket"], reconnection: false });
    await next(socket, "connect_error");
    await quiet();
    log("state", socket.active);
  },
  async "the way is blocked, and another is tried"({ client, log }) {
    const socket = client("/", { transports: ["polling", "websocket"], tryAllTransports: true });
    await next(socket, "connect_error");
    log("active", socket.active);
  },
};
const somewhere = {
  async "a wrong path"({ client }) {
    await next(client("/", { path: "/elsewhere", transports: ["polling"], reconnection: false }), "connect_error");
  },
  async "no transports"({ client, log }) {
    const socket = client("/", { transports: [], reconnection: false });
    await next(socket, "connect_error").catch(() => log("nothing"));
  },
  async "upgrade forbidden"({ up, log }) {
    const socket = await up("/", { transports: undefined, upgrade: false });
    await quiet();
    log("transport", socket.io.engine.transport.name);
  },
  async "upgrade events of the engine"({ client, log }) {
    const { engine } = client("/", {}, null).io;
    engine.on("upgrading", (transport) => log("upgrading", transport.name));
    engine.once("upgrade", (transport) => log("upgrade", transport.name));
    engine.on("open", () => log("open", engine.transport.name));
    await next(engine, "upgrade");
  },
  async "rememberUpgrade: begins with what worked last"({ client, log }) {
    // Whatever was remembered before is forgotten by this one.
    await next(client("/", { upgrade: false }, null), "connect");
    const first = client("/", { rememberUpgrade: true }, null);
    await next(first.io.engine, "upgrade");
    const second = client("/", { rememberUpgrade: true }, "second ");
    await next(second, "connect");
    log("begins with", second.io.engine.transport.name);
  },
  async "cookies kept by withCredentials"({ client, log }) {
    const socket = client("/", { withCredentials: true, extraHeaders: { "x-conformance": "c" } });
    await next(socket, "connect");
    log("header", (await socket.emitWithAck("who")).header);
  },
  async "protocols, timestamps, a path without slash at its end"({ client, log }) {
    const socket = client("/", { transports: ["websocket"], timestampRequests: true, timestampParam: "stamp", path: "/socket.io/" });
    await next(socket, "connect");
    log("stamp", typeof (await socket.emitWithAck("who")).query.stamp);
  },
  async "one connection for two calls of io()"({ io, url, watch, log }) {
    const [a, b] = [io(url + "/", { reconnection: false }), io(url + "/custom", { reconnection: false })];
    watch(a, "a ");
    watch(b, "b ");
    await Promise.all([next(a, "connect"), next(b, "connect")]);
    log("shared", a.io === b.io);
    const c = watch(io(url + "/", { reconnection: false }), "c ");
    log("of its own", a.io !== c.io);
    await next(c, "connect");
  },
  async "reconnection setters"({ client, log }) {
    const { io: manager } = client("/", { autoConnect: false });
    log("defaults", manager.reconnection(), manager.reconnectionAttempts() === Infinity, manager.timeout());
    manager.reconnection(false).reconnectionAttempts(3).reconnectionDelay(50).reconnectionDelayMax(60).randomizationFactor(0.1).timeout(70);
    log("set", manager.reconnection(), manager.reconnectionAttempts(), manager.reconnectionDelay(), manager.reconnectionDelayMax(), manager.randomizationFactor(), manager.timeout());
  },
  async "too long an address"({ io, log }) {
    try {
      io("http://localhost/" + "x".repeat(8000), { autoConnect: false });
    } catch (err) {
      log("thrown", err.message ?? err);
    }
  },
};

/** Every scenario: `{ name, options, run, absent }`; `absent` ones want no server at their address. */
export const scenarios = [
  ...Object.entries(behaviours).flatMap(([name, run]) => Object.entries(WAYS).map(([way, options]) => ({ name: `${name} (${way})`, options, run }))),
  ...Object.entries(others).map(([name, run]) => ({ name, options: {}, run, absent: true })),
  // What a page remembers, it remembers for all its connections: nothing else may connect meanwhile.
  ...Object.entries(somewhere).map(([name, run]) => ({ name, options: {}, run, alone: name.startsWith("remember") })),
];
