// The bundle that ships against a real server, over every transport. See README.md for which server.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bytes } from "./vectors.mjs";
import {
  cable, FetchOfBrowsers, given, io, ioOfBrowsers, ioWithoutPolling, msgpack, next, servers, until, WebSocketOfBrowsers, within,
} from "./fixture.mjs";

const TEXT = 'héllo € 😀 \u2028 \u0000 "quoted" \\ /';
// `headers`: whether this platform lets a program send headers of its own by that way.
const WAYS = [
  { name: "polling", options: { transports: ["polling"] } },
  { name: "WebSocket", options: { transports: ["websocket"] } },
  { name: "upgrade", options: { transports: ["polling", "websocket"] }, upgrades: true },
  { name: "base64 over WebSocket", options: { transports: ["websocket"], forceBase64: true } },
  { name: "MessagePack over WebSocket", options: { transports: ["websocket"], parser: msgpack }, flags: ["--msgpack"], noBlobs: true },
  { name: "MessagePack over polling", options: { transports: ["polling"], parser: msgpack }, flags: ["--msgpack"], noBlobs: true },
  { name: "the bundle for browsers: upgrade", io: ioOfBrowsers, options: { transports: [FetchOfBrowsers, WebSocketOfBrowsers] }, upgrades: true },
  { name: "the bundle without polling", io: ioWithoutPolling, options: {}, noHeaders: true, noBase64: true },
];
const noFlags = given && "the running server cannot be given flags";

const open = [];

function client(url, { io: make = io, ...options }) {
  const socket = make(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options });
  open.push(socket);
  return socket;
}

after(() => open.forEach((socket) => socket.disconnect()));

for (const [maker, start] of Object.entries(servers)) suite(maker, start);

function suite(maker, start) {
  for (const way of WAYS) {
    const server = (...flags) => start(...(way.flags || []), ...flags);
    describe(`${way.name}, ${maker}`, { skip: way.flags && noFlags }, () => {
      let host;
      before(async () => void (host = await server()));
      after(() => {
        open.splice(0).forEach((socket) => socket.disconnect());
        return host.stop();
      });

      async function connect(path = "/", options = {}) {
        const socket = client(host.url + path, { io: way.io, ...way.options, ...options });
        await next(socket, "connect");
        if (way.upgrades) await until("the upgrade", () => socket.io.engine.transport.name === "websocket");
        return socket;
      }

      it("connects, and each side knows the same", async () => {
        const socket = await connect("/?colour=red", { auth: { name: "Åsa" }, extraHeaders: { "x-conformance": "yes" } });
        const who = await socket.emitWithAck("who");
        assert.equal(who.id, socket.id);
        assert.notEqual(socket.id, socket.io.engine.id);
        assert.equal(who.transport, socket.io.engine.transport.name);
        assert.equal(who.query.colour, "red");
        if (!way.noHeaders) assert.equal(who.header, "yes");
        assert.deepEqual(who.auth, { name: "Åsa" });
        assert.equal(socket.recovered, false);
      });

      it("carries every kind of value both ways, with and without an ack", async () => {
        const socket = await connect();
        const values = [1, -0.5, 1e-7, 2 ** 40, "", TEXT, true, null, [], {}, { a: [{ b: null }] }];
        assert.deepEqual(await new Promise((resolve) => socket.emit("echo", ...values, (...args) => resolve(args))), values);
        const echoed = next(socket, "echo");
        socket.emit("echo", ...values);
        assert.deepEqual(await echoed, values);
        const long = "x€".repeat(50000);
        assert.equal(await socket.emitWithAck("echo", long), long);
      });

      it("carries binary of every kind, both ways", async () => {
        const socket = await connect();
        const raw = Uint8Array.from({ length: 40000 }, (_, at) => at % 256);
        for (const [what, data, expected] of [
          ["ArrayBuffer", raw.buffer, raw],
          ["Uint8Array", raw, raw],
          ["part of a buffer", raw.subarray(3, 70), raw.subarray(3, 70)],
          ["Uint16Array", new Uint16Array([1, 258]), new Uint8Array(new Uint16Array([1, 258]).buffer)],
          ["DataView", new DataView(raw.buffer, 5, 9), raw.subarray(5, 14)],
          ["Buffer", Buffer.from("abc"), Buffer.from("abc")],
          ["Blob", new Blob(["blob ", raw]), Buffer.concat([Buffer.from("blob "), raw])],
          ["nothing", new Uint8Array(0), Buffer.alloc(0)],
        ]) {
          if (way.noBlobs && what === "Blob") continue;
          const got = await within(5000, what, socket.emitWithAck("echo", { deep: [data] }));
          assert.ok(bytes(got.deep[0]).equals(Buffer.from(expected)), what);
        }
        const echoed = next(socket, "echo");
        socket.emit("echo", "text", Buffer.from("one"), { two: way.noBlobs ? Buffer.from("two") : new Blob(["two"]) }, 3);
        const [text, one, { two }, three] = await echoed;
        assert.deepEqual([text, String(bytes(one)), String(bytes(two)), three], ["text", "one", "two", 3]);
      });

      it("answers the server's questions", async () => {
        const socket = await connect();
        socket.on("question", (value, data, ack) => ack(value + 1, data));
        const answered = next(socket, "answered");
        socket.emit("ask", 41, Buffer.from([7]));
        const [value, data] = await answered;
        assert.deepEqual([value, [...bytes(data)]], [42, [7]]);
        socket.off("question");
        const unanswered = next(socket, "unanswered");
        socket.emit("ask", 1);
        await unanswered;
      });

      it("keeps order, also through the upgrade", async () => {
        const socket = client(host.url, { io: way.io, ...way.options });
        const seen = [];
        socket.on("echo", (value) => seen.push(value));
        for (let i = 0; i < 500; i++) {
          socket.emit("echo", i);
          if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 2));
        }
        await until("all echoes", () => seen.length === 500);
        assert.deepEqual(seen, Array.from({ length: 500 }, (_, at) => at));
      });

      it("receives many at once", async () => {
        const socket = await connect();
        const seen = [];
        socket.on("n", (value) => seen.push(value));
        socket.emit("burst", 1000);
        await until("all of the burst", () => seen.length === 1000);
        assert.deepEqual(seen, Array.from({ length: 1000 }, (_, at) => at));
      });

      it("speaks to several namespaces over one connection", async () => {
        const main = client(host.url, { io: way.io, ...way.options });
        const custom = main.io.socket("/custom");
        await Promise.all([next(main, "connect"), next(custom, "connect")]);
        assert.notEqual(main.id, custom.id);
        assert.equal((await custom.emitWithAck("who")).nsp, "/custom");
        custom.disconnect();
        assert.equal(await main.emitWithAck("echo", "still here"), "still here");
      });

      it("is refused with a message and data, and may try again", async () => {
        const socket = client(host.url + "/admin", { io: way.io, ...way.options, auth: { token: "wrong" } });
        const [err] = await next(socket, "connect_error");
        assert.equal(err.message, "not allowed");
        assert.deepEqual(err.data, { code: 401, hint: "token" });
        assert.deepEqual([socket.active, socket.connected], [false, false]);
        socket.auth = { token: "secret" };
        socket.connect();
        await next(socket, "connect");
        const nowhere = client(host.url + "/nowhere", { io: way.io, ...way.options });
        assert.equal((await next(nowhere, "connect_error"))[0].message, "Invalid namespace");
      });

      it("sends what was written while the namespace was being joined", async () => {
        const socket = client(host.url + "/slow", { io: way.io, ...way.options, auth: { wait: 100 } });
        assert.equal(await within(5000, "the ack", socket.emitWithAck("echo", "early")), "early");
      });

      it("acks that take too long, or never come", async () => {
        const socket = await connect();
        await assert.rejects(socket.timeout(30).emitWithAck("late", 5000, 1), /operation has timed out/);
        assert.equal(await socket.timeout(2000).emitWithAck("late", 30, "in time"), "in time");
        const lost = assert.rejects(socket.emitWithAck("late", 5000), /socket has been disconnected/);
        socket.disconnect();
        await lost;
      });

      it("is told why it was disconnected", async () => {
        const kicked = await connect();
        kicked.emit("kick", false);
        assert.equal((await next(kicked, "disconnect"))[0], "io server disconnect");
        assert.equal(kicked.active, false);
        const thrown = await connect();
        thrown.emit("kick", true);
        assert.equal((await next(thrown, "disconnect"))[0], "io server disconnect");
        const left = await connect();
        const goodbye = next(left, "disconnect");
        left.disconnect();
        assert.equal((await goodbye)[0], "io client disconnect");
      });

      it("comes back after the server closed the connection below", async () => {
        const cut = await connect();
        const { id } = cut;
        cut.emit("close-engine");
        assert.equal((await next(cut, "disconnect"))[0], "transport close");
        await next(cut, "connect");
        assert.notEqual(cut.id, id);
      });

      it("comes back after the cable was cut, and after the server was replaced", { skip: noFlags }, async (t) => {
        const first = await server();
        const wire = await cable(first.port);
        t.after(() => wire.close());
        const socket = client(wire.url, { io: way.io, ...way.options });
        await next(socket, "connect");
        if (way.upgrades) await until("the upgrade", () => socket.io.engine.transport.name === "websocket");
        const lost = next(socket, "disconnect");
        wire.cut();
        assert.match((await lost)[0], /^transport (close|error)$/);
        const echoed = next(socket, "echo");
        socket.emit("echo", "written while away");
        await next(socket.io, "reconnect_error");
        wire.lead(first.port);
        await next(socket, "connect");
        assert.deepEqual(await echoed, ["written while away"]);

        const second = await server();
        wire.lead(second.port);
        const again = next(socket, "connect");
        await first.stop();
        await again;
        assert.equal(await socket.emitWithAck("echo", "to the new one"), "to the new one");
        socket.disconnect();
        await second.stop();
      });

      it("recovers what it missed", { skip: noFlags }, async (t) => {
        // A polling client that is cut between two polls is missed by the heartbeat only.
        const host = await server("--recovery", "60000", "--ping-interval", "1000", "--ping-timeout", "1000");
        const wire = await cable(host.port);
        t.after(async () => (wire.close(), await host.stop()));
        const [socket, other] = [client(wire.url, { io: way.io, ...way.options }), client(host.url, { io: way.io, ...way.options })];
        const seen = [];
        socket.on("news", (value) => seen.push(value));
        socket.on("connect", () => seen.push(socket.recovered ? "recovered" : "new"));
        await Promise.all([next(socket, "connect"), next(other, "connect")]);
        await socket.emitWithAck("join", "room");
        await other.emitWithAck("send-to", ["room"], "news", 1);
        await until("the first", () => seen.includes(1));
        if (way.upgrades) await until("the upgrade", () => socket.io.engine.transport.name === "websocket");
        const { id } = socket;
        const lost = next(socket, "disconnect");
        wire.cut();
        await lost;
        // The server must have noticed too, or there is nothing to recover yet.
        await until("the server's notice", async () =>
          (await (await fetch(host.url + "/log")).json()).disconnects.some((each) => each.id === id));
        await other.emitWithAck("send-to", ["room"], "news", 2);
        await other.emitWithAck("send-to", ["room"], "news", { three: Buffer.from("3") });
        wire.lead(host.port);
        await next(socket, "connect");
        assert.equal(socket.id, id);
        assert.equal(socket.recovered, true);
        assert.deepEqual(seen.slice(0, 3), ["new", 1, 2]);
        assert.equal(String(bytes(seen[3].three)), "3");
        assert.equal(seen[4], "recovered");
        [socket, other].forEach((each) => each.disconnect());
      });

      it("answers heartbeats, and notices when there are none", { skip: noFlags }, async (t) => {
        const host = await server("--ping-interval", "50", "--ping-timeout", "100");
        t.after(() => host.stop());
        const socket = client(host.url, { io: way.io, ...way.options });
        let pings = 0;
        socket.io.on("ping", () => pings++);
        await until("five pings", () => pings >= 5);
        assert.equal(socket.connected, true);
        socket.disconnect();
      });
    });
  }

  describe(`the connection, ${maker}`, () => {
    const server = start;
    let host;
    before(async () => void (host = await server()));
    after(() => {
      open.splice(0).forEach((socket) => socket.disconnect());
      return host.stop();
    });

    it("tells that nobody is there", async () => {
      for (const [transport, message] of [["polling", "xhr poll error"], ["websocket", "websocket error"]]) {
        const socket = client("http://127.0.0.1:1", { transports: [transport], reconnection: false });
        const [err] = await next(socket, "connect_error");
        assert.equal(err.message, message);
        assert.equal(err.type, "TransportError");
      }
    });

    it("tells the status of a refusal", async () => {
      const socket = client(host.url, { transports: ["polling"], path: "/elsewhere", reconnection: false });
      const [err] = await next(socket, "connect_error");
      assert.deepEqual([err.message, err.description], ["xhr poll error", 404]);
    });

    it("stays on polling when told to, or when WebSocket does not work", async (t) => {
      const stays = client(host.url, { upgrade: false });
      await next(stays, "connect");
      const polls = given ? undefined : await server("--transports", "polling");
      t.after(() => polls?.stop());
      const cannot = client(polls?.url ?? host.url, { transports: polls ? ["polling", "websocket"] : ["polling"] });
      await next(cannot, "connect");
      for (const each of [stays, cannot]) {
        assert.equal(await each.emitWithAck("echo", 1), 1);
        assert.equal(each.io.engine.transport.name, "polling");
        each.disconnect();
      }
    });

    it("goes on with the next transport, if asked", { skip: noFlags }, async (t) => {
      const sockets = await server("--transports", "websocket");
      t.after(() => sockets.stop());
      const socket = client(sockets.url, { tryAllTransports: true });
      await next(socket, "connect");
      assert.equal(socket.io.engine.transport.name, "websocket");
      socket.disconnect();
    });

    it("splits what is more than the server takes at once", { skip: noFlags }, async (t) => {
      const small = await server("--max-payload", "10000");
      t.after(() => small.stop());
      const socket = client(small.url, { transports: ["polling"] });
      const seen = [];
      socket.on("echo", (value, data) => seen.push([value, data?.length ?? bytes(data).length]));
      for (let i = 0; i < 30; i++) socket.emit("echo", i, i % 2 ? Buffer.alloc(900) : "€".repeat(300));
      await until("all", () => seen.length === 30);
      assert.deepEqual(seen.map(([value]) => value), Array.from({ length: 30 }, (_, at) => at));
      const lost = next(socket, "disconnect");
      socket.emit("echo", "x".repeat(20000));
      assert.equal((await lost)[0], "transport error");
      socket.disconnect();
    });
  });
}
