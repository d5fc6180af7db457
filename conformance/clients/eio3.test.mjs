// npm socket.io-client 2 and 1.7 on a server that serves Engine.IO 3 too. Their text dialects differ
// (vectors/protocol/eio3-*.json), so non-ASCII text in every place is what is asked here above all.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createRequire } from "node:module";
import { ask, cable, collect, fixture, next, oursOnly, sleep, until } from "../lib/fixture.mjs";

const require = createRequire(import.meta.url);
const io2 = require("client2");
const io1 = require("client1");

const TEXT = "héllo € 😀 \u0007 \"quoted\" \\ / ÿÀ";
const WAYS = [
  { name: "2.5, polling", io: io2, options: { transports: ["polling"] } },
  { name: "2.5, WebSocket", io: io2, options: { transports: ["websocket"] } },
  { name: "2.5, upgrade", io: io2, options: { transports: ["polling", "websocket"] }, upgrades: true },
  { name: "2.5, polling, base64", io: io2, options: { transports: ["polling"], forceBase64: true } },
  { name: "2.5, WebSocket, base64", io: io2, options: { transports: ["websocket"], forceBase64: true } },
  { name: "1.7, polling", io: io1, options: { transports: ["polling"] }, old: true },
  { name: "1.7, WebSocket", io: io1, options: { transports: ["websocket"] }, old: true },
  { name: "1.7, upgrade", io: io1, options: { transports: ["polling", "websocket"] }, upgrades: true, old: true },
];

for (const way of WAYS) {
  // One server for all three text dialects (vectors/protocol/eio3-*.json): the reference speaks one.
  const dialect = way.old && oursOnly;

  describe(way.name, () => {
    let server;
    const open = [];
    before(async () => { server = await fixture("--eio3"); });
    after(async () => { open.forEach((socket) => socket.disconnect()); await server?.stop(); });

    async function connect(path = "/", options = {}) {
      const socket = way.io(server.url + path, { forceNew: true, reconnection: false, ...way.options, ...options });
      open.push(socket);
      await next(socket, "connect");
      if (way.upgrades) await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
      return socket;
    }

    it("connects without asking for it", async () => {
      const socket = await connect("/?colour=red");
      const [who] = await ask(socket, "who");
      assert.equal(who.nsp, "/");
      assert.equal(who.id, socket.id);
      assert.equal(who.protocol, 3);
      assert.equal(who.transport, socket.io.engine.transport.name);
      assert.equal(who.query.colour, "red");
    });

    it("carries every kind of ASCII JSON value both ways", async () => {
      const socket = await connect();
      const values = [1, -0.5, 1e21, "", "plain \"text\" \\", true, null, [], {}, { a: [{ b: null }] }];
      assert.deepEqual(await ask(socket, "echo", ...values), values);
      const back = next(socket, "echo");
      socket.emit("echo", ...values);
      assert.deepEqual(await back, values);
    });

    it("carries non-ASCII text both ways, in events, acks and event names", { skip: dialect }, async () => {
      const socket = await connect();
      assert.deepEqual(await ask(socket, "echo", TEXT, { [TEXT]: TEXT }), [TEXT, { [TEXT]: TEXT }]);
      const back = next(socket, "echo");
      socket.emit("echo", TEXT);
      assert.deepEqual(await back, [TEXT]);
      const named = next(socket, "naïve €");
      await ask(socket, "all-in", [], [], "naïve €", "ÿ");
      assert.deepEqual(await named, ["ÿ"]);
      const long = "x€😀".repeat(20_000);
      const [same] = await ask(socket, "echo", long);
      assert.ok(same === long, `${same.length} characters`);
    });

    it("carries many non-ASCII packets in one payload", { skip: dialect }, async () => {
      const socket = await connect();
      const seen = collect(socket, "message-back");
      for (let i = 0; i < 100; i++) socket.emit("message", i, TEXT.slice(0, i % TEXT.length));
      await until(() => seen.length === 100, "100 answers");
      seen.forEach(([n, text], i) => {
        assert.equal(n, i);
        assert.equal(Buffer.from(text).toString("hex"), Buffer.from(TEXT.slice(0, i % TEXT.length)).toString("hex"));
      });
    });

    it("carries binary anywhere, both ways, in events and acks", async () => {
      const socket = await connect();
      const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255));
      const values = [bytes, { deep: [{ er: Buffer.from([226, 130, 172]) }], text: "plain" }, "plain"];
      assert.deepEqual(await ask(socket, "echo", ...values), values);
      const back = next(socket, "echo");
      socket.emit("echo", ...values);
      assert.deepEqual(await back, values);
    });

    it("carries binary and non-ASCII text side by side", { skip: dialect }, async () => {
      const socket = await connect();
      const seen = collect(socket, "message-back");
      for (let i = 0; i < 20; i++) socket.emit("message", i, i % 2 ? Buffer.from(TEXT) : TEXT);
      await until(() => seen.length === 20, "20 answers");
      seen.forEach(([n, value], i) => assert.deepEqual([n, value], [i, i % 2 ? Buffer.from(TEXT) : TEXT]));
    });

    it("answers the server's questions, binary included", async () => {
      const socket = await connect();
      socket.on("question", (...args) => args.pop()("yes", ...args, Buffer.from([1, 2])));
      const answered = next(socket, "answered");
      socket.emit("ask", "what?", Buffer.from([3]));
      assert.deepEqual(await answered, ["yes", "what?", Buffer.from([3]), Buffer.from([1, 2])]);
    });

    it("keeps the order of a burst", async () => {
      const socket = await connect();
      const seen = collect(socket, "n");
      socket.emit("burst", 300);
      await until(() => seen.length === 300, "300 events");
      assert.deepEqual(seen.map(([n]) => n), Array.from({ length: 300 }, (_, i) => i));
    });

    it("joins a namespace with its query, beside the main one", async () => {
      const main = way.io(server.url, { forceNew: true, reconnection: false, ...way.options });
      const custom = main.io.socket("/custom", { query: "token=abc" });
      open.push(main, custom);
      await Promise.all([next(main, "connect"), next(custom, "connect")]);
      const [who] = await ask(custom, "who");
      assert.equal(who.nsp, "/custom");
      // 1.x gives every namespace the id of the connection, whatever the server says.
      if (!way.old) assert.equal(who.id, custom.id);
      assert.equal(who.auth.token, "abc");
      assert.deepEqual(await ask(main, "echo", 1), [1]);
      main.disconnect();
    });

    it("is refused by a middleware and by an unknown namespace", async () => {
      const refused = way.io(`${server.url}/admin?token=guess`, { forceNew: true, reconnection: false, ...way.options });
      open.push(refused);
      assert.deepEqual(await next(refused, "error"), [{ code: 401, hint: "token" }]);
      const nowhere = way.io(`${server.url}/nowhere`, { forceNew: true, reconnection: false, ...way.options });
      open.push(nowhere);
      // 2.x servers send the bare text, 4.x servers an object: a client that shows it must know both.
      const [error] = await next(nowhere, "error");
      assert.equal(error.message ?? error, "Invalid namespace");
    });

    it("is let in by a middleware that reads the namespace's query", async () => {
      const socket = await connect("/admin?token=secret");
      assert.deepEqual(await ask(socket, "echo", 1), [1]);
    });

    it("hears broadcasts that others in today's protocol hear too", { skip: dialect }, async () => {
      const { io: io4 } = await import("client4");
      const today = io4(server.url, { forceNew: true, transports: ["websocket"] });
      await next(today, "connect");
      const socket = await connect();
      await ask(socket, "join", "mixed");
      await ask(today, "join", "mixed");
      const seen = [next(socket, "news"), next(today, "news")];
      await ask(today, "all-in", ["mixed"], [], "news", TEXT, { bytes: Buffer.from(TEXT) });
      for (const news of seen) assert.deepEqual(await news, [TEXT, { bytes: Buffer.from(TEXT) }]);
      today.disconnect();
    });

    it("tells each side why it ended", async () => {
      for (const [event, args, here, there] of [
        ["kick", [false], "io server disconnect", "server namespace disconnect"],
        ["close-engine", [], "transport close", "forced close"],
      ]) {
        const socket = await connect();
        const { id } = socket;
        const left = next(socket, "disconnect");
        socket.emit(event, ...args);
        assert.equal((await left)[0], here, event);
        const found = await until(async () => (await server.log()).disconnects.find((entry) => entry.id === id), "the server's reason");
        assert.equal(found.reason, there);
      }
    });
  });
}

describe("Engine.IO 3 besides", () => {
  it("its clients send the pings, and stay for as long as they do", async () => {
    const server = await fixture("--eio3", "--ping-interval", "200", "--ping-timeout", "300");
    for (const [io, transports] of [[io2, ["websocket"]], [io2, ["polling"]], [io1, ["websocket"]], [io1, ["polling"]]]) {
      const socket = io(server.url, { forceNew: true, reconnection: false, transports });
      await next(socket, "connect");
      await sleep(1200);
      assert.equal(socket.connected, true);
      assert.deepEqual(await ask(socket, "echo", 1), [1]);
      // It falls silent, and does not give up by itself.
      const { id } = socket;
      socket.io.engine.onClose = () => {};
      socket.io.engine.transport.send = () => {};
      socket.io.engine.transport.write = () => {};
      const entry = await until(async () => (await server.log()).disconnects.find((one) => one.id === id), "the ping timeout", 3000);
      assert.equal(entry.reason, "ping timeout");
      socket.disconnect();
    }
    await server.stop();
  });

  it("is refused where it is off, and named", async () => {
    const server = await fixture();
    for (const io of [io2, io1]) {
      const socket = io(server.url, { forceNew: true, reconnection: false, transports: ["polling"] });
      const [error] = await next(socket, "connect_error");
      assert.equal(error.description, 400);
      socket.disconnect();
    }
    assert.deepEqual((await server.log()).refusals[0], { code: 5, message: "Unsupported protocol version" });
    await server.stop();
  });

  it("comes back after a cut", async () => {
    const server = await fixture("--eio3");
    const wire = await cable(server.port);
    for (const io of [io2, io1]) {
      const socket = io(wire.url, { forceNew: true, reconnectionDelay: 50, randomizationFactor: 0 });
      await next(socket, "connect");
      wire.cut();
      await next(socket, "disconnect");
      const back = next(socket, "connect");
      wire.mend();
      await back;
      assert.deepEqual(await ask(socket, "echo", 1), [1]);
      socket.disconnect();
    }
    wire.close();
    await server.stop();
  });
});
