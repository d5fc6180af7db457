// The engine: heartbeat, write buffer, upgrade at every point where it can break; and servers that
// say nonsense.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../.build/engine/session.js";
import { record, scripted, settle, virtualTime } from "./script.mjs";

function open(options = {}, handshake = {}) {
  const Script = scripted();
  const session = new Session("http://localhost", { autoUnref: true, transports: [Script], ...options });
  Script.last.accept(handshake);
  return { Script, session, wire: Script.last };
}

/** A session on "old" that was offered "new"; the probe is under way. */
function upgrading() {
  const [Old, New] = [scripted("old"), scripted("new")];
  const session = new Session("http://localhost", { autoUnref: true, transports: [Old, New] });
  const seen = record(session, ["upgradeError", "close", "message"]);
  session.on("upgrading", (transport) => seen.push(["upgrading", transport.name]));
  session.on("upgrade", (transport) => seen.push(["upgrade", transport.name]));
  Old.last.accept({ upgrades: ["new", "unknown", "__proto__"] });
  return { session, old: Old.last, next: New.last, seen, Old, New };
}

test("pings are answered, and their absence noticed", async (t) => {
  const tick = virtualTime(t);
  const { session, wire } = open({}, { pingInterval: 300, pingTimeout: 200 });
  const seen = record(session, ["ping", "heartbeat", "close"]);
  await tick(499);
  wire.receive("ping");
  await settle();
  assert.deepEqual(wire.read(), ["pong"]);
  await tick(499);
  assert.equal(session.readyState, "open");
  wire.receive("message", "no ping");
  await tick(1);
  assert.deepEqual(seen, [["heartbeat"], ["ping"], ["heartbeat"], ["close", "ping timeout", undefined]]);
});

test("after a sleep nothing is sent into the void", async (t) => {
  const tick = virtualTime(t);
  const { session } = open();
  const seen = record(session, ["close"]);
  assert.equal(session.hasPingExpired(), false);
  const { now } = Date;
  t.after(() => (Date.now = now));
  Date.now = () => now() + 45001; // the clock went on, the timers did not
  assert.equal(session.hasPingExpired(), true);
  await tick(0);
  assert.deepEqual(seen, [["close", "ping timeout", undefined]]);
});

test("a handshake of nonsense", async (t) => {
  const tick = virtualTime(t);
  for (const text of ["", "{", "null", "[]", '{"sid":""}', '{"sid":7}']) {
    const { session, wire } = open({}, null);
    const seen = record(session, ["error"]);
    wire.receive("open", text);
    assert.equal(session.readyState, "closed", text);
    assert.equal(seen.length, 1);
  }
  for (const odd of [{ pingInterval: -1, pingTimeout: "x" }, { pingInterval: 2 ** 53 }, { maxPayload: 0 }, { upgrades: "websocket" }, { upgrades: [{}, null] }]) {
    const { session } = open({}, odd);
    await tick(1000);
    assert.equal(session.readyState, "open", JSON.stringify(odd));
    session.close();
  }
});

test("a second handshake, and packets that are none", () => {
  const { session, wire } = open();
  wire.receive("open", '{"sid":"other"}');
  assert.equal(session.readyState, "closed");
  const other = open();
  const seen = record(other.session, ["error"]);
  other.wire.onData("9");
  assert.deepEqual(seen, [["error", "server error"]]);
  assert.equal(other.session.readyState, "closed");
});

test("a polling batch is as large as the server takes", async () => {
  const Polling = scripted("polling");
  const session = new Session("http://localhost", { autoUnref: true, transports: [Polling] });
  const wire = Polling.last;
  wire.quick = false;
  wire.accept({ maxPayload: 10 });
  for (const text of ["12345", "€", "1234567890123", "a", "b"]) session.send(text);
  const batches = [];
  while (session.writeBuffer.length) {
    batches.push(wire.read());
    wire.take();
  }
  // "412345" and a separator and "4€" are 11 bytes; each of the others is told apart by its size.
  assert.deepEqual(batches, [["12345"], ["€"], ["1234567890123"], ["a", "b"]]);
});

test("close() waits for what is buffered", async () => {
  const { session, wire } = open();
  wire.quick = false;
  session.send("a");
  session.send("b");
  session.close();
  session.send("ignored");
  assert.equal(session.readyState, "closing");
  wire.take();
  assert.equal(session.readyState, "closing");
  wire.take();
  assert.equal(session.readyState, "closed");
  assert.deepEqual(wire.read(), ["a", "b"]);
});

test("upgrade: probe, pause, upgrade, and what was held back", async () => {
  const { session, old, next, seen } = upgrading();
  session.send("before");
  next.accept(null);
  assert.deepEqual(next.read(), ["ping probe"]);
  session.send("while probing");
  await settle();
  assert.deepEqual(old.read(), ["before", "while probing"]);
  next.receive("pong", "probe");
  session.send("while pausing");
  await settle();
  assert.deepEqual(old.read(), []);
  old.receive("message", "the last of the old one");
  old.resting();
  await settle();
  assert.deepEqual(next.read(), ["upgrade", "while pausing"]);
  assert.equal(session.transport, next);
  session.send("after");
  await settle();
  assert.deepEqual(next.read(), ["after"]);
  assert.deepEqual(seen, [["upgrading", "new"], ["message", "the last of the old one"], ["upgrade", "new"]]);
  assert.equal(next.query.sid, "S");
});

test("upgrade: breaks at every point, and the session goes on", async (t) => {
  for (const [what, run] of Object.entries({
    "not opened": ({ next }) => next.fail(),
    "closed before the answer": ({ next }) => (next.accept(null), next.lose()),
    "a wrong answer": ({ next }) => (next.accept(null), next.receive("pong", "else")),
    "broken while the old one comes to rest": ({ next }) => (next.accept(null), next.receive("pong", "probe"), next.lose()),
  })) {
    await t.test(what, async () => {
      const it = upgrading();
      run(it);
      it.session.send("still here");
      if (it.old.resting) it.old.resting(); // it came to rest all the same
      await settle();
      assert.deepEqual(it.old.read(), ["still here"]);
      assert.equal(it.session.transport, it.old);
      assert.equal(it.session.upgrading, false);
      assert.equal(it.next.ended, what.includes("closed") || what.includes("broken") ? undefined : true);
      assert.deepEqual(it.seen.map(([name]) => name).filter((name) => name !== "upgrading"), ["upgradeError"]);
      if (what.includes("rest")) assert.equal(it.old.resumed, true);
    });
  }
});

test("upgrade: the old transport breaks, and takes the probe with it", async () => {
  for (const answered of [false, true]) {
    const it = upgrading();
    it.next.accept(null);
    if (answered) it.next.receive("pong", "probe");
    it.old.fail();
    assert.equal(it.session.readyState, "closed");
    assert.equal(it.next.ended, true);
    it.old.resting?.();
    assert.equal(it.session.transport, it.old);
    assert.deepEqual(it.next.read(), ["ping probe"]);
  }
});

test("upgrade: close() waits for it", async () => {
  const it = upgrading();
  it.next.accept(null);
  it.next.receive("pong", "probe");
  it.session.close();
  assert.equal(it.session.readyState, "closing");
  it.old.resting();
  assert.equal(it.session.readyState, "closed");
  assert.equal(it.next.ended, true);
});

test("tryAllTransports, and what cannot be opened", async () => {
  const [Old, New] = [scripted("old"), scripted("new")];
  const session = new Session("http://localhost", { autoUnref: true, transports: [Old, New], tryAllTransports: true });
  const seen = record(session, ["error", "close"]);
  Old.last.fail();
  assert.equal(session.transport.name, "new");
  New.last.accept();
  assert.deepEqual([session.readyState, seen], ["open", []]);

  for (const transports of [[], ["carrier pigeon"]]) {
    const none = new Session("http://localhost", { autoUnref: true, transports });
    const events = record(none, ["error"]);
    await settle();
    assert.equal(events.length, 1);
  }
});

test("addresses of requests", () => {
  const uri = (address, options) => {
    const Script = scripted();
    new Session(address, { autoUnref: true, transports: [Script], ...options });
    return Script.last.createUri("http", Script.last.query);
  };
  assert.equal(uri("http://h"), "http://h/engine.io/?EIO=4&transport=script");
  assert.equal(uri("https://h:8443", { path: "/a/b/" }), "https://h:8443/a/b/?EIO=4&transport=script");
  assert.equal(uri("ws://[::1]:80", { addTrailingSlash: false }), "http://[::1]/engine.io?EIO=4&transport=script");
  assert.equal(uri("http://h?x=1"), "http://h/engine.io/?x=1&EIO=4&transport=script");
  assert.equal(uri("http://h", { query: { a: "é", EIO: 3 } }), "http://h/engine.io/?a=%C3%A9&EIO=4&transport=script");
  assert.equal(uri(null, { hostname: "h", secure: true, port: 9 }), uri("https://h:9"));
  assert.equal(uri(null, { host: "h:7" }).slice(0, 9), "http://h/");
});
