// What a socket promises its user: by script and in virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { record, scene, settle, virtualTime } from "./script.mjs";

/** A socket, connected; `lose` and `back` take the connection away and give it back. */
async function connected({ manager: options, socket: socketOptions, answer = '0{"sid":"a"}' } = {}) {
  const it = scene({ reconnectionDelay: 1, reconnectionDelayMax: 1, ...options });
  const socket = it.manager.socket("/", socketOptions);
  it.wire.accept();
  await settle();
  it.wire.say(answer);
  await settle();
  it.wire.read();
  return { ...it, socket, get wire() { return it.Script.last; } };
}

async function back(it, tick, answer = '0{"sid":"b"}') {
  await tick(1);
  it.wire.accept();
  await settle();
  const first = it.wire.read();
  it.wire.say(answer);
  await settle();
  return first;
}

test("reserved names are refused at once", async () => {
  const { socket } = await connected();
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
    assert.throws(() => socket.emit(name), new RegExp(`"${name}" is a reserved event name`));
  }
});

test("what is written before the connection leaves before `connect`, in order", async () => {
  const { manager, wire } = scene();
  const socket = manager.socket("/");
  socket.emit("one").send("two").emit("three", () => {});
  assert.equal(socket.sendBuffer.length, 3);
  let atConnect;
  socket.on("connect", () => (atConnect = [socket.sendBuffer.length, socket.connected, socket.id]));
  wire.accept();
  await settle();
  wire.say('0{"sid":"a"}');
  await settle();
  assert.deepEqual(atConnect, [0, true, "a"]);
  assert.deepEqual(wire.read(), ["0", '2["one"]', '2["message","two"]', '20["three"]']);
});

test("events that come before the answer to CONNECT are delivered with it, before `connect`", async () => {
  const { manager, wire } = scene();
  const seen = record(manager.socket("/"), ["e", "connect"]);
  wire.accept();
  wire.say('2["e",1]', '2["e",2]');
  await settle();
  assert.deepEqual(seen, []);
  wire.say('0{"sid":"a"}');
  await settle();
  assert.deepEqual(seen, [["e", 1], ["e", 2], ["connect"]]);
});

test("volatile events wait for nothing", async () => {
  const it = scene();
  const socket = it.manager.socket("/");
  socket.volatile.emit("not open");
  it.wire.accept();
  await settle();
  socket.volatile.emit("not joined");
  it.wire.say('0{"sid":"a"}');
  await settle();
  socket.volatile.emit("goes");
  await settle();
  it.wire.quick = false;
  socket.emit("slow");
  socket.volatile.emit("not writable");
  it.wire.take();
  await settle();
  assert.deepEqual(it.wire.read(), ["0", '2["goes"]', '2["slow"]']);
});

test("acks: from the server, to the server, once", async () => {
  const { socket, wire } = await connected();
  const answers = [];
  socket.emit("q", (...args) => answers.push(args));
  const promise = socket.emitWithAck("p", 1);
  wire.say("30[1,2]", '31["yes"]', "30[3]", "399[4]");
  await settle();
  assert.deepEqual(answers, [[1, 2]]);
  assert.equal(await promise, "yes");
  socket.on("ask", (value, ack) => (ack(value + 1), ack("again")));
  wire.read();
  wire.say('27["ask",41]');
  await settle();
  assert.deepEqual(wire.read(), ["37[42]"]);
});

test("an ack that takes too long", async (t) => {
  const tick = virtualTime(t);
  const { socket, wire } = await connected();
  const seen = [];
  socket.timeout(50).emit("q", (err, value) => seen.push([err?.message, value]));
  socket.timeout(50).emit("q", (err, value) => seen.push([err, value]));
  wire.say('31["in time"]');
  await settle();
  await tick(50);
  wire.say('30["too late"]');
  await settle();
  assert.deepEqual(seen, [[null, "in time"], ["operation has timed out", undefined]]);
});

test("an ack that times out while its event waits: the event is not sent", async (t) => {
  const tick = virtualTime(t);
  const { manager, wire } = scene({ timeout: false });
  const socket = manager.socket("/", { ackTimeout: 20 });
  const failed = assert.rejects(socket.emitWithAck("stale"), /timed out/);
  socket.emit("fresh");
  await tick(20);
  await failed;
  wire.accept();
  await settle();
  wire.say('0{"sid":"a"}');
  await settle();
  assert.deepEqual(wire.read(), ["0", '2["fresh"]']);
});

test("a lost connection: acks of what was sent fail, those of what waits stay", async (t) => {
  const tick = virtualTime(t);
  const it = await connected();
  const { socket } = it;
  const lost = assert.rejects(socket.emitWithAck("sent"), /socket has been disconnected/);
  socket.emit("plain", () => assert.fail("nobody answered"));
  it.wire.lose();
  await lost;
  const waits = socket.emitWithAck("waits");
  assert.deepEqual(await back(it, tick), ["0"]);
  assert.deepEqual(it.wire.read(), ['22["waits"]']);
  it.wire.say("32[7]");
  assert.equal(await waits, 7);
});

test("auth: object, function, promise; asked for every CONNECT", async (t) => {
  const tick = virtualTime(t);
  let n = 0;
  for (const [auth, expected] of [
    [{ token: "a" }, ['0{"token":"a"}', '0{"token":"a"}']],
    [(send) => send({ n: ++n }), ['0{"n":1}', '0{"n":2}']],
    [async () => ({ n: ++n }), ['0{"n":3}', '0{"n":4}']],
    [undefined, ["0", "0"]],
  ]) {
    const it = scene({ reconnectionDelay: 1, reconnectionDelayMax: 1 });
    it.manager.socket("/", { auth });
    it.wire.accept();
    await settle();
    const first = it.wire.read();
    it.wire.say('0{"sid":"a"}');
    await settle();
    it.wire.lose();
    assert.deepEqual([...first, ...(await back(it, tick))], expected);
    it.manager.disconnect();
  }
});

test("auth that comes too late is not sent on another connection; auth that fails is a refusal", async (t) => {
  const tick = virtualTime(t);
  const it = scene({ reconnectionDelay: 1, reconnectionDelayMax: 1 });
  const sends = [];
  it.manager.socket("/", { auth: (send) => sends.push(send) });
  it.wire.accept();
  it.wire.lose();
  await tick(1);
  it.wire.accept();
  sends[0]({ stale: true });
  sends[1]({ fresh: true });
  await settle();
  assert.deepEqual(it.wire.read(), ['0{"fresh":true}']);

  const other = scene();
  const socket = other.manager.socket("/", { auth: () => Promise.reject(new Error("no token")) });
  const seen = record(socket, ["connect_error"]);
  other.wire.accept();
  await settle();
  assert.deepEqual(seen, [["connect_error", "no token"]]);
  assert.equal(socket.active, false);
});

test("refusals: with data, as bare text, and by a server of the 2.x line", async () => {
  for (const [answer, message, data, active] of [
    ['4{"message":"no","data":{"code":7}}', "no", { code: 7 }, false],
    ['4"no"', "no", undefined, false],
    ["0", /older than socket.io 3/, undefined, true],
  ]) {
    const { manager, wire } = scene();
    const socket = manager.socket("/");
    let err;
    socket.on("connect_error", (each) => (err = each));
    wire.accept();
    wire.say(answer);
    await settle();
    assert.match(err.message, new RegExp(message));
    assert.deepEqual(err.data, data);
    assert.equal(socket.active, active);
    manager.disconnect();
  }
});

test("a refused socket may try again, alone or beside others", async () => {
  const { Script, manager } = scene();
  const [main, room] = [manager.socket("/"), manager.socket("/room")];
  Script.last.accept();
  Script.last.say('0{"sid":"a"}', '4/room,{"message":"no"}');
  await settle();
  Script.last.read();
  room.connect();
  await settle();
  assert.deepEqual(Script.last.read(), ["0/room,"]);
  Script.last.say('0/room,{"sid":"b"}');
  await settle();
  assert.equal(room.connected, true);
  assert.equal(main.connected, true);
  assert.equal(Script.made.length, 1);
});

test("who ends it, and what follows", async (t) => {
  const tick = virtualTime(t);
  for (const [end, reason, active] of [
    [(it) => it.wire.say("1"), "io server disconnect", false],
    [(it) => it.socket.disconnect(), "io client disconnect", false],
    [(it) => it.wire.lose(), "transport close", true],
    [(it) => it.wire.fail(), "transport error", true],
    [(it) => it.wire.say("x"), "parse error", true],
    [(it) => it.socket.io.engine.close(), "forced close", true],
    [() => tick(45000), "ping timeout", true],
  ]) {
    const it = await connected();
    const seen = record(it.socket, ["disconnect"]);
    await end(it);
    await settle();
    assert.equal(seen[0]?.[1], reason);
    assert.equal(seen.length, 1);
    assert.equal(it.socket.active, active, reason);
    if (reason === "io client disconnect") assert.deepEqual(it.wire.read(), ["1"]);
    await tick(1);
    assert.equal(it.Script.made.length, active ? 2 : 1, reason);
    it.manager.disconnect();
  }
});

test("any event, in and out", async () => {
  const { socket, wire } = await connected();
  const seen = [];
  const late = (...args) => seen.push(["late", ...args]);
  socket.onAny(late).prependAny((...args) => seen.push(["early", ...args]));
  socket.onAnyOutgoing((...args) => seen.push(["out", ...args])).prependAnyOutgoing((...args) => seen.push(["first out", ...args]));
  socket.on("e", (...args) => seen.push(["e", ...args]));
  wire.say('2["e",1]');
  await settle();
  socket.emit("f", 2, () => {});
  assert.deepEqual(seen.splice(0), [["early", "e", 1], ["late", "e", 1], ["e", 1], ["first out", "f", 2], ["out", "f", 2]]);
  assert.equal(socket.listenersAny().length, 2);
  socket.offAny(late).offAnyOutgoing();
  assert.equal(socket.listenersAny().length, 1);
  socket.offAny();
  wire.say('2["e",3]');
  await settle();
  socket.emit("f");
  assert.deepEqual(seen, [["e", 3]]);
});

test("recovery: the pid and the last offset go with the next CONNECT", async (t) => {
  const tick = virtualTime(t);
  const it = await connected({ answer: '0{"sid":"a","pid":"P"}' });
  const seen = record(it.socket, ["e", "connect"]);
  assert.equal(it.socket.recovered, false);
  it.wire.lose();
  assert.deepEqual(await back(it, tick, '0{"sid":"a","pid":"P"}'), ['0{"pid":"P"}'], "no event yet, no offset");
  assert.equal(it.socket.recovered, true);
  it.wire.say('2["e","x","Q7vVRcK.0"]', '25["e","question"]', '2["e","a sentence is no offset"]', '2["e"]', '2["e",5]');
  await settle();
  it.wire.lose();
  seen.length = 0;
  await tick(1);
  it.wire.accept();
  await settle();
  assert.deepEqual(it.wire.read(), ['0{"pid":"P","offset":"Q7vVRcK.0"}']);
  it.wire.say('2["e","missed","Q7vVRcK.1"]', '0{"sid":"a","pid":"P"}');
  await settle();
  assert.deepEqual(seen, [["e", "missed", "Q7vVRcK.1"], ["connect"]]);
  assert.deepEqual([it.socket.recovered, it.socket.id], [true, "a"]);
  it.wire.lose();
  assert.deepEqual(await back(it, tick, '0{"sid":"z","pid":"R"}'), ['0{"pid":"P","offset":"Q7vVRcK.1"}']);
  assert.equal(it.socket.recovered, false);
  it.wire.lose();
  assert.deepEqual(await back(it, tick), ['0{"pid":"R"}'], "a new session has no offset of the old one");
});

test("retries: one at a time, in order, until acknowledged", async (t) => {
  const tick = virtualTime(t);
  const it = await connected({ socket: { retries: 2, ackTimeout: 100 } });
  const seen = [];
  it.socket.emit("one", 1, (err, value) => seen.push(["one", err?.message ?? null, value]));
  it.socket.emit("two", (err, value) => seen.push(["two", err?.message ?? null, value]));
  await settle();
  it.socket.volatile.emit("not queued");
  await settle();
  assert.deepEqual(it.wire.read(), ['20["one",1]', '2["not queued"]']);
  await tick(100);
  assert.deepEqual(it.wire.read(), ['21["one",1]']);
  it.wire.say('30["the first attempt, too late"]', '31["good"]');
  await settle();
  assert.deepEqual(seen, [["one", null, "good"]]);
  assert.deepEqual(it.wire.read(), ['22["two"]']);
  await tick(100);
  await tick(100);
  await tick(100);
  assert.deepEqual(it.wire.read(), ['23["two"]', '24["two"]']);
  assert.deepEqual(seen[1], ["two", "operation has timed out", undefined]);
});

test("retries without ackTimeout: the first answer settles it, whatever it is", async () => {
  const it = await connected({ socket: { retries: 3 } });
  const seen = [];
  it.socket.emit("one", (err, value) => seen.push([err, value]));
  it.socket.emit("two");
  await settle();
  it.wire.say('30["value"]');
  await settle();
  it.wire.say("31[]");
  await settle();
  assert.deepEqual(seen, [[null, "value"]]);
  assert.deepEqual(it.wire.read(), ['20["one"]', '21["two"]']);
});

test("retries: the head is sent again on the next connection", async (t) => {
  const tick = virtualTime(t);
  const it = await connected({ socket: { retries: 2 } });
  it.socket.emit("one");
  await settle();
  it.wire.lose();
  await back(it, tick);
  assert.deepEqual(it.wire.read(), ['21["one"]']);
});

test("a cap on the send buffer: which event gives way, and who hears of it", async (t) => {
  const tick = virtualTime(t);
  for (const [options, kept, lost] of [
    [{ packets: 2 }, [2, 3], [0, 1]],
    [{ packets: 2, drop: "oldest" }, [2, 3], [0, 1]],
    [{ packets: 2, drop: "newest" }, [0, 1], [2, 3]],
    [{ packets: 0 }, [], [0, 1, 2, 3]],
    // `2["e",0,"…"]` has 8 + 50 characters and some: two of them fit.
    [{ bytes: 130 }, [2, 3], [0, 1]],
    [{ bytes: 130, packets: 3, drop: "newest" }, [0, 1], [2, 3]],
    [{}, [0, 1, 2, 3], []],
  ]) {
    const dropped = [];
    const it = await connected({ socket: { sendBuffer: { ...options, dropped: ([, n]) => dropped.push(n) } } });
    it.wire.lose();
    for (let n = 0; n < 4; n++) it.socket.emit("e", n, "x".repeat(50));
    assert.deepEqual(it.socket.sendBuffer.map(({ data }) => data[1]), kept, JSON.stringify(options));
    assert.deepEqual(dropped, lost);
    await back(it, tick);
    await settle();
    assert.deepEqual(it.wire.read().map((wire) => JSON.parse(wire.slice(1))[1]), kept);
  }
});

test("a cap on the send buffer: acks of what gave way, and the queue of retries", async () => {
  const it = await connected({ socket: { sendBuffer: { packets: 1 } } });
  it.wire.lose();
  const first = assert.rejects(it.socket.emitWithAck("first"), /the send buffer is full/);
  let plain = 0;
  it.socket.emit("second", () => plain++);
  it.socket.timeout(5000).emit("third", (err) => assert.equal(err, undefined));
  await first;
  assert.deepEqual([plain, it.socket.sendBuffer.length], [0, 1]);

  const queued = await connected({ socket: { retries: 3, sendBuffer: { packets: 2 } } });
  queued.socket.emit("under way", () => {});
  queued.wire.lose();
  const errors = [];
  for (const name of ["a", "b", "c"]) queued.socket.emit(name, (err) => errors.push([name, err.message]));
  // The first was sent and may be answered yet; of the rest the oldest go.
  assert.deepEqual(errors, [["a", "the send buffer is full"], ["b", "the send buffer is full"]]);
});

test("what is written while the session is closing waits for the next", async (t) => {
  const tick = virtualTime(t);
  const it = await connected();
  it.wire.quick = false;
  it.socket.emit("on its way");
  it.manager.engine.close();
  it.socket.emit("too late for this one");
  assert.equal(it.socket.sendBuffer.length, 1);
  it.wire.take();
  assert.deepEqual(await back(it, tick), ["0"]);
  await settle();
  assert.deepEqual(it.wire.read(), ['2["too late for this one"]']);
});
