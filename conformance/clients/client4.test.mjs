// npm socket.io-client 4 (and 3, which speaks the same protocol), over every transport and with both parsers.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { io as io4 } from "client4";
import { io as io3 } from "client3";
import msgpack from "msgpack";
import { handshake, poll, post } from "../lib/engine.mjs";
import { ask, cable, collect, fixture, next, oursOnly, reference, sleep, until, withTimeout } from "../lib/fixture.mjs";

const TEXT = "héllo € 😀 \u2028 \u0000 \ud83d\ude00 \"quoted\" \\ /";
const WAYS = [
  { name: "4, polling", io: io4, options: { transports: ["polling"] } },
  { name: "4, WebSocket", io: io4, options: { transports: ["websocket"] } },
  { name: "4, upgrade", io: io4, options: { transports: ["polling", "websocket"] }, upgrades: true },
  { name: "4, msgpack, polling", io: io4, options: { transports: ["polling"], parser: msgpack } },
  { name: "4, msgpack, WebSocket", io: io4, options: { transports: ["websocket"], parser: msgpack } },
  { name: "4, WebSocket with deflate", io: io4, options: { transports: ["websocket"] }, flags: ["--deflate"] },
  { name: "3, polling", io: io3, options: { transports: ["polling"] } },
  { name: "3, WebSocket", io: io3, options: { transports: ["websocket"] } },
  { name: "3, upgrade", io: io3, options: { transports: ["polling", "websocket"] }, upgrades: true },
];

for (const way of WAYS) {
  describe(way.name, () => {
    let server;
    const open = [];
    const flags = [...(way.flags ?? []), ...(way.options.parser ? ["--msgpack"] : [])];
    before(async () => { server = await fixture(...flags); });
    after(async () => { open.forEach((socket) => socket.disconnect()); await server?.stop(); });

    /** A client that is connected, and over WebSocket already where it may upgrade. */
    async function connect(path = "/", options = {}) {
      const socket = way.io(server.url + path, { forceNew: true, reconnection: false, ...way.options, ...options });
      open.push(socket);
      await next(socket, "connect");
      if (way.upgrades) await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
      return socket;
    }

    it("connects, and each side knows the same", async () => {
      const socket = await connect("/?colour=red", { auth: { name: "Åsa" }, extraHeaders: { "x-conformance": "yes" } });
      const [who] = await ask(socket, "who");
      assert.equal(who.id, socket.id);
      assert.equal(who.nsp, "/");
      assert.equal(who.transport, socket.io.engine.transport.name);
      assert.equal(who.protocol, 4);
      assert.equal(who.query.colour, "red");
      assert.deepEqual(who.auth, { name: "Åsa" });
      assert.equal(who.header, "yes");
      assert.notEqual(socket.id, socket.io.engine.id, "the session id is a secret, the socket id is not");
      assert.match(socket.id, /^[\w-]{20,}$/);
    });

    it("carries every kind of JSON value both ways", async () => {
      const socket = await connect();
      const values = [1, -0.5, 1e-7, 2 ** 40, "", TEXT, true, null, [], {}, { a: [{ b: null }] }];
      assert.deepEqual(await ask(socket, "echo", ...values), values);
      const back = next(socket, "echo");
      socket.emit("echo", ...values);
      assert.deepEqual(await back, values);
      const long = "x€".repeat(50_000);
      const [same] = await ask(socket, "echo", long);
      assert.ok(same === long, `${same.length} characters`);
    });

    it("carries events without arguments and with names of all sorts", async () => {
      const socket = await connect();
      const back = next(socket, "message-back");
      socket.emit("message");
      assert.deepEqual(await back, []);
      for (const name of ["error", "a b", "€", "2", "__proto__", "constructor"]) {
        const there = next(socket, name);
        await ask(socket, "all-in", [socket.id], [], name, 1);
        assert.deepEqual(await there, [1], name);
      }
    });

    it("carries binary anywhere, both ways, in events and acks", async () => {
      const socket = await connect();
      const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255));
      const values = [bytes, { deep: [{ er: Buffer.from("€") }, Buffer.alloc(0)], text: TEXT }, "plain"];
      assert.deepEqual(await ask(socket, "echo", ...values), values);
      const back = next(socket, "echo");
      socket.emit("echo", ...values);
      assert.deepEqual(await back, values);
    });

    it("answers the server's questions, binary included", async () => {
      const socket = await connect();
      socket.on("question", (...args) => args.pop()("yes", ...args, Buffer.from([1, 2])));
      const answered = next(socket, "answered");
      socket.emit("ask", TEXT, Buffer.from([3]));
      assert.deepEqual(await answered, ["yes", TEXT, Buffer.from([3]), Buffer.from([1, 2])]);
    });

    it("lets the server's question time out", async () => {
      const socket = await connect();
      socket.on("question", () => {});
      const unanswered = next(socket, "unanswered");
      socket.emit("ask");
      assert.deepEqual(await unanswered, []);
    });

    it("keeps the order of a burst, both ways", async () => {
      const socket = await connect();
      const seen = collect(socket, "n");
      socket.emit("burst", 500);
      await until(() => seen.length === 500, "500 events");
      assert.deepEqual(seen.map(([n]) => n), Array.from({ length: 500 }, (_, i) => i));
      const back = collect(socket, "message-back");
      for (let i = 0; i < 500; i++) socket.emit("message", i, i % 50 === 0 ? Buffer.from([i & 255]) : TEXT);
      await until(() => back.length === 500, "500 answers");
      assert.deepEqual(back.map(([n]) => n), Array.from({ length: 500 }, (_, i) => i));
    });

    it("shares one connection among namespaces", async () => {
      const socket = await connect("/", { forceNew: true });
      const custom = socket.io.socket("/custom", { auth: { a: 1 } });
      open.push(custom);
      const auth = next(custom, "auth");
      // The manager has connected it already: a second `connect` would send a second CONNECT.
      assert.deepEqual((await auth)[0], { a: 1 });
      assert.notEqual(custom.id, socket.id);
      assert.equal((await ask(custom, "who"))[0].nsp, "/custom");
      custom.disconnect();
      assert.deepEqual(await ask(socket, "echo", "still here"), ["still here"]);
      const again = next(custom, "connect");
      custom.connect();
      await again;
    });

    it("refuses in a middleware with a message and data, and lets in who knows the word", async () => {
      const socket = way.io(`${server.url}/admin`, { forceNew: true, reconnection: false, ...way.options, auth: { token: "guess" } });
      open.push(socket);
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, "not allowed");
      assert.deepEqual(error.data, { code: 401, hint: "token" });
      assert.equal(socket.connected, false);
      socket.auth = { token: "secret" };
      const connected = next(socket, "connect");
      socket.connect();
      await connected;
      assert.deepEqual(await ask(socket, "echo", 1), [1]);
    });

    it("says that a namespace does not exist", async () => {
      const socket = way.io(`${server.url}/nowhere`, { forceNew: true, reconnection: false, ...way.options });
      open.push(socket);
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, "Invalid namespace");
    });

    it("makes dynamic namespaces, and forgets them", async () => {
      const one = await connect("/dynamic-1");
      const two = await connect("/dynamic-1");
      const [ids] = await ask(one, "sockets");
      assert.deepEqual(ids, [one.id, two.id].sort());
      one.disconnect();
      two.disconnect();
      const third = await connect("/dynamic-1");
      await until(async () => (await ask(third, "sockets"))[0].length === 1, "the others are gone");
    });

    it("delivers to rooms, unions and exceptions, once each", async () => {
      const [a, b, c] = [await connect(), await connect(), await connect()];
      for (const [socket, rooms] of [[a, ["r1", "r2"]], [b, ["r1", "r2"]], [c, ["r2", "r3"]]]) {
        for (const room of rooms) await ask(socket, "join", room);
      }
      assert.deepEqual(await ask(a, "rooms"), [[a.id, "r1", "r2"].sort()]);
      const seen = [a, b, c].map((socket) => collect(socket, "news"));
      const counts = async () => {
        // An echo travels the same road behind the news.
        await Promise.all([a, b, c].map((socket) => ask(socket, "echo", 0)));
        return seen.map((list) => list.length);
      };
      await ask(a, "send-to", ["r1", "r2"], "news", 1);
      assert.deepEqual(await counts(), [0, 1, 1]);
      await ask(a, "all-in", ["r1", "r2"], [], "news", 2);
      assert.deepEqual(await counts(), [1, 2, 2]);
      await ask(a, "all-in", ["r2"], ["r3"], "news", 3);
      assert.deepEqual(await counts(), [2, 3, 2]);
      await ask(a, "all-in", [], [b.id], "news", Buffer.from("€"), TEXT);
      assert.deepEqual(await counts(), [3, 3, 3]);
      assert.deepEqual(seen[2].at(-1), [Buffer.from("€"), TEXT]);
      await ask(b, "leave", "r1");
      await ask(a, "all-in", ["r1"], [], "news", 4);
      assert.deepEqual(await counts(), [4, 3, 3]);
      await ask(a, "broadcast", "news", 5);
      assert.deepEqual(await counts(), [4, 4, 4]);
    });

    it("asks a whole room, and tells who did not answer", async () => {
      const sockets = [await connect(), await connect(), await connect()];
      for (const socket of sockets) await ask(socket, "join", "jury");
      sockets.forEach((socket, i) => socket.on("question", (text, ack) => ack(`${text} ${i}`)));
      const [all] = await ask(sockets[0], "poll-room", "jury", 2000, "guilty?");
      assert.deepEqual([...all.answers].sort(), ["guilty? 0", "guilty? 1", "guilty? 2"]);
      assert.equal(all.missing, false);
      sockets[2].off("question");
      const [some] = await ask(sockets[0], "poll-room", "jury", 400, "sure?");
      assert.deepEqual([...some.answers].sort(), ["sure? 0", "sure? 1"]);
      assert.equal(some.missing, true);
      const [none] = await ask(sockets[0], "poll-room", "empty room", 2000);
      assert.deepEqual(none, { answers: [], missing: false });
    });

    it("tells each side why it ended", async () => {
      for (const [event, args, here, there] of [
        ["kick", [false], "io server disconnect", "server namespace disconnect"],
        ["kick", [true], "io server disconnect", "server namespace disconnect"],
        ["close-engine", [], "transport close", "forced close"],
      ]) {
        const socket = await connect();
        const { id } = socket;
        const left = next(socket, "disconnect");
        socket.emit(event, ...args);
        assert.equal((await left)[0], here, `${event} ${args}`);
        assert.equal(socket.connected, false);
        await reasonOf(id, there);
      }
      const socket = await connect();
      const { id } = socket;
      const left = next(socket, "disconnect");
      socket.disconnect();
      assert.equal((await left)[0], "io client disconnect");
      await reasonOf(id, "client namespace disconnect");
    });

    async function reasonOf(id, expected) {
      const found = await until(async () => (await server.log()).disconnects.find((entry) => entry.id === id), "the server's reason");
      assert.equal(found.reason, expected);
      assert.equal((await server.log()).disconnects.filter((entry) => entry.id === id).length, 1, "once only");
    }

    it("says nothing to a socket that left, and ends when its last namespace is left", async () => {
      const socket = await connect();
      socket.disconnect();
      const fresh = await connect();
      assert.deepEqual(await ask(fresh, "echo", 1), [1]);
    });

    it("forgets everything when the last client is gone", async () => {
      open.splice(0).forEach((socket) => socket.disconnect());
      await until(async () => {
        const { sessions, sockets, rooms } = await server.stats();
        return sessions === 0 && sockets === 0 && rooms === 0;
      }, "an empty server");
    });
  });
}

describe("limits, told to real clients", () => {
  it("a message of exactly the limit passes, a longer one ends the connection", async () => {
    const server = await fixture("--max-payload", "100000");
    for (const [transports, reason] of [[["websocket"], "transport close"], [["polling"], "transport error"]]) {
      const socket = io4(server.url, { forceNew: true, reconnection: false, transports });
      await next(socket, "connect");
      // 42["message-with-ack","…"] with an id of one digit: 26 bytes around the text.
      const fits = "x".repeat(100_000 - Buffer.byteLength('420["message-with-ack",""]'));
      assert.deepEqual(await ask(socket, "message-with-ack", fits), [fits]);
      const left = next(socket, "disconnect");
      socket.emit("message", "x".repeat(100_001));
      const [why, details] = await left;
      if (transports[0] === "websocket") {
        assert.equal(why, reason);
        assert.equal(details.context.code, 1009);
      } else if (why === reason) {
        assert.equal(details.description, 413);
      } else {
        // Our session ends with the refusal: the poll beside it may tell first.
        assert.equal(why, reference ? reason : "transport close");
      }
      socket.disconnect();
    }
    assert.equal(await server.stop(), 0);
  });

  it("a client that joins no namespace is shown out", async () => {
    const server = await fixture("--connect-timeout", "300");
    const socket = io4(server.url, { forceNew: true, reconnection: false, autoConnect: false });
    const manager = socket.io;
    const closed = next(manager, "close");
    manager.open();
    await closed;
    await until(async () => (await server.stats()).sessions === 0, "no session");
    await server.stop();
  });

  it("a request that is refused names the reason", async () => {
    const server = await fixture("--refuse", "not today");
    for (const transports of [["polling"], ["websocket"]]) {
      const socket = io4(`${server.url}/?refuse=1`, { forceNew: true, reconnection: false, transports });
      const [error] = await next(socket, "connect_error");
      assert.match(error.message, /^(xhr poll error|websocket error)$/);
      socket.disconnect();
    }
    const fine = io4(server.url, { forceNew: true, reconnection: false });
    await next(fine, "connect");
    fine.disconnect();
    await until(async () => (await server.log()).refusals.length >= 2, "both refusals told to the application");
    assert.deepEqual((await server.log()).refusals[0].code, 4);
    await server.stop();
  });

  it("volatile packets are dropped only where they would wait", async () => {
    const server = await fixture();
    const socket = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(socket, "connect");
    const seen = collect(socket, "n");
    const done = next(socket, "done");
    socket.emit("volatile", 1);
    await done;
    assert.deepEqual(seen, [[0]], "an idle connection takes a volatile packet");
    socket.disconnect();
    // A polling client between two polls would have to wait for the next.
    const base = `${server.url}/socket.io/`;
    const { sid } = await handshake(base);
    await post(base, sid, "40");
    let heard = "";
    while (!heard.includes("auth")) heard += await (await poll(base, sid)).text();
    await post(base, sid, '42["volatile",3]');
    assert.equal(await (await poll(base, sid)).text(), '42["done"]');
    await server.stop();
  });

  it("a client that stops answering is gone in time, and one that answers stays", async () => {
    const server = await fixture("--ping-interval", "200", "--ping-timeout", "200");
    for (const transports of [["websocket"], ["polling"]]) {
      const healthy = io4(server.url, { forceNew: true, reconnection: false, transports });
      await next(healthy, "connect");
      const silent = io4(server.url, { forceNew: true, reconnection: false, transports });
      await next(silent, "connect");
      const { id } = silent;
      // It hears the pings and keeps quiet.
      silent.io.engine.transport.send = () => {};
      silent.io.engine.transport.write = () => {};
      const entry = await until(async () => (await server.log()).disconnects.find((one) => one.id === id), "the ping timeout", 3000);
      assert.equal(entry.reason, "ping timeout");
      await sleep(500);
      assert.equal(healthy.connected, true);
      assert.deepEqual(await ask(healthy, "echo", 1), [1]);
      healthy.disconnect();
      silent.disconnect();
    }
    await server.stop();
  });
});

describe("connection state recovery", () => {
  const transports = [["websocket"], ["polling"], ["polling", "websocket"]];
  for (const way of transports) {
    it(`${way.join(" then ")}: a cut loses nothing, and doubles nothing`, async () => {
      const server = await fixture("--recovery", "60000");
      const wire = await cable(server.port);
      const socket = io4(wire.url, { forceNew: true, transports: way, reconnectionDelay: 50, reconnectionDelayMax: 50, randomizationFactor: 0, timeout: 2000 });
      const other = io4(server.url, { forceNew: true, transports: ["websocket"] });
      await Promise.all([next(socket, "connect"), next(other, "connect")]);
      const { id } = socket;
      const seen = collect(socket, "news");
      await ask(socket, "join", "room");
      await ask(socket, "keep", { a: 1 });
      await ask(other, "all-in", ["room"], [], "news", 0);
      await until(() => seen.length === 1, "the first news");
      const left = next(socket, "disconnect");
      wire.cut();
      await left;
      for (let i = 1; i <= 20; i++) await ask(other, "all-in", i % 2 ? ["room"] : [id], [], "news", i, i % 5 ? "text" : Buffer.from([i]));
      await ask(other, "all-in", ["another room"], [], "news", "not for us");
      const back = next(socket, "connect");
      wire.mend();
      await back;
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      await ask(other, "all-in", ["room"], [], "news", 21);
      await until(() => seen.length === 22, "all the news");
      assert.deepEqual(seen.map(([n]) => n), Array.from({ length: 22 }, (_, i) => i));
      assert.deepEqual(seen[5][1], Buffer.from([5]));
      assert.deepEqual((await ask(socket, "kept"))[0], { a: 1 });
      assert.equal((await ask(socket, "who"))[0].recovered, true);
      assert.ok((await ask(socket, "rooms"))[0].includes("room"));
      socket.disconnect();
      other.disconnect();
      wire.close();
      await server.stop();
    });
  }

  it("one who left is not recovered, nor one who comes late", async () => {
    const server = await fixture("--recovery", "300");
    const wire = await cable(server.port);
    const socket = io4(wire.url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 50, randomizationFactor: 0 });
    await next(socket, "connect");
    const { id } = socket;
    await ask(socket, "echo", 1);
    socket.disconnect();
    let back = next(socket, "connect");
    socket.connect();
    await back;
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    wire.cut();
    await next(socket, "disconnect");
    await sleep(500);
    back = next(socket, "connect");
    wire.mend();
    await back;
    assert.equal(socket.recovered, false);
    socket.disconnect();
    wire.close();
    await server.stop();
  });

  it("works before a first event has arrived", { skip: oursOnly }, async () => {
    const server = await fixture("--recovery", "60000");
    const wire = await cable(server.port);
    const socket = io4(wire.url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 50, randomizationFactor: 0 });
    await next(socket, "connect");
    const { id } = socket;
    wire.cut();
    await next(socket, "disconnect");
    const back = next(socket, "connect");
    wire.mend();
    await back;
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    socket.disconnect();
    wire.close();
    await server.stop();
  });
});

describe("the server's own troubles", () => {
  it("a failing handler hurts nobody else", { skip: oursOnly }, async () => {
    const server = await fixture();
    const [one, two] = [0, 1].map(() => io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] }));
    await Promise.all([next(one, "connect"), next(two, "connect")]);
    one.emit("panic");
    assert.deepEqual(await ask(two, "echo", 1), [1]);
    const three = io4(server.url, { forceNew: true, reconnection: false });
    await next(three, "connect");
    assert.deepEqual(await ask(three, "echo", 1), [1]);
    [one, two, three].forEach((socket) => socket.disconnect());
    assert.equal(await server.stop(), 0);
  });

  it("clients come back by themselves after a restart of the network", async () => {
    const server = await fixture();
    const wire = await cable(server.port);
    const socket = io4(wire.url, { forceNew: true, reconnectionDelay: 50, randomizationFactor: 0 });
    await next(socket, "connect");
    const { id } = socket;
    wire.cut();
    await next(socket, "disconnect");
    const back = next(socket, "connect");
    wire.mend();
    await back;
    assert.notEqual(socket.id, id);
    assert.ok(!socket.recovered);
    const answer = ask(socket, "late", 50, "slept");
    assert.deepEqual(await withTimeout(answer, 2000, "the late answer"), ["slept"]);
    socket.disconnect();
    wire.close();
    await server.stop();
  });
});
