// Opening, losing, opening again: by script and in virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { io, Manager } from "../.build/index.js";
import { record, scene, scripted, settle, virtualTime } from "./script.mjs";

const EVENTS = ["open", "error", "close", "reconnect_attempt", "reconnect", "reconnect_error", "reconnect_failed"];

test("the first opening fails: attempts follow, then it gives up", async (t) => {
  const tick = virtualTime(t);
  const { Script, manager } = scene({ reconnectionAttempts: 2, reconnectionDelay: 100, reconnectionDelayMax: 150 });
  const seen = record(manager, EVENTS);
  const socket = manager.socket("/");
  record(socket, ["connect_error"], seen);
  Script.last.fail("down");
  assert.equal(Script.made.length, 1);
  await tick(99);
  assert.equal(Script.made.length, 1, "not before its time");
  await tick(1);
  assert.equal(Script.made.length, 2);
  Script.last.fail("still down");
  await tick(150);
  Script.last.fail("down for good");
  await tick(1e6);
  assert.equal(Script.made.length, 3);
  assert.deepEqual(seen, [
    ["error", "down"], ["connect_error", "down"],
    ["reconnect_attempt", 1],
    ["error", "still down"], ["connect_error", "still down"], ["reconnect_error", "still down"],
    ["reconnect_attempt", 2],
    ["error", "down for good"], ["connect_error", "down for good"], ["reconnect_error", "down for good"], ["reconnect_failed"],
  ]);
});

test("a lost connection comes back, and its namespaces with it", async (t) => {
  const tick = virtualTime(t);
  const { Script, manager } = scene();
  const [main, room] = [manager.socket("/"), manager.socket("/room")];
  Script.last.accept();
  assert.deepEqual(Script.last.read(), ["0"]);
  await settle();
  assert.deepEqual(Script.last.read(), ["0/room,"]);
  Script.last.say('0{"sid":"a"}', '0/room,{"sid":"b"}');
  await settle();
  assert.deepEqual([main.id, room.id], ["a", "b"]);
  const seen = record(manager, EVENTS);
  record(main, ["disconnect", "connect"], seen);
  Script.last.lose();
  assert.deepEqual([main.id, main.connected, main.active, main.disconnected], [undefined, false, true, true]);
  await tick(1000);
  Script.last.accept();
  await settle();
  assert.deepEqual(Script.last.read(), ["0", "0/room,"]);
  Script.last.say('0{"sid":"c"}', '0/room,{"sid":"d"}');
  await settle();
  assert.deepEqual([main.id, room.id], ["c", "d"]);
  const details = { description: "cable cut" };
  assert.deepEqual(seen, [
    ["disconnect", "transport close", details], ["close", "transport close", details],
    ["reconnect_attempt", 1], ["open"], ["reconnect", 1], ["connect"],
  ]);
});

test("a server that accepts and drops at once is asked less and less often", async (t) => {
  const tick = virtualTime(t);
  const { Script } = scene({ reconnectionDelay: 1000, reconnectionDelayMax: 5000 });
  for (const delay of [1000, 2000, 4000, 5000, 5000]) {
    const before = Script.made.length;
    Script.last.accept();
    Script.last.lose();
    await tick(delay - 1);
    assert.equal(Script.made.length, before);
    await tick(1);
    assert.equal(Script.made.length, before + 1);
  }
  // One that holds a minute is trusted again.
  Script.last.accept({ pingInterval: 100000 });
  await tick(60000);
  Script.last.lose();
  const before = Script.made.length;
  await tick(1000);
  assert.equal(Script.made.length, before + 1);
});

test("nothing is opened again after disconnect(), with reconnection: false, or after the last socket left", async (t) => {
  const tick = virtualTime(t);
  for (const end of ["disconnect", "option", "socket"]) {
    const { Script, manager } = scene({ reconnection: end !== "option" });
    const socket = manager.socket("/");
    Script.last.accept();
    Script.last.lose();
    if (end === "disconnect") manager.disconnect();
    if (end === "socket") socket.disconnect();
    await tick(1e6);
    assert.equal(Script.made.length, 1, end);
  }
});

test("opening takes too long", async (t) => {
  const tick = virtualTime(t);
  const { Script, manager } = scene({ timeout: 3000, reconnection: false });
  const seen = record(manager, EVENTS);
  await tick(3000);
  assert.deepEqual(seen, [["error", "timeout"]]);
  assert.equal(Script.last.ended, true);
  Script.last.accept();
  assert.deepEqual(seen.length, 1, "too late");
});

test("a transport that ends before the handshake counts as failed", async (t) => {
  const tick = virtualTime(t);
  const { Script, manager } = scene({ reconnectionAttempts: 1 });
  const seen = record(manager, EVENTS);
  Script.last.accept(null);
  Script.last.lose();
  await tick(1000);
  assert.equal(Script.made.length, 2);
  assert.deepEqual(seen, [["error", "transport close"], ["reconnect_attempt", 1]]);
});

test("open(callback) reports, and does not try again", async (t) => {
  const tick = virtualTime(t);
  const { Script, manager } = scene({ autoConnect: false });
  assert.equal(Script.made.length, 0);
  const answers = [];
  manager.open((err) => answers.push(err?.message));
  Script.last.fail("no");
  await tick(1e6);
  manager.open((err) => answers.push(err?.message));
  Script.last.accept();
  assert.deepEqual(answers, ["no", undefined]);
});

test("malformed packets close the connection; what listeners throw does not", async (t) => {
  const tick = virtualTime(t);
  for (const bad of ['2["connect"]', "9", "", '51-["x",{"_placeholder":true,"num":5}]', "2{", '3["no id"]', Buffer.from("lone binary")]) {
    const { Script, manager } = scene();
    const socket = manager.socket("/");
    Script.last.accept();
    Script.last.say('0{"sid":"a"}');
    await settle();
    const seen = record(socket, ["disconnect"]);
    Script.last.say(bad);
    if (typeof bad === "string" && bad.startsWith("51")) Script.last.say(Buffer.from("x"));
    await settle();
    assert.equal(seen[0]?.[1], "parse error", String(bad));
    assert.equal(socket.active, true);
    await tick(1000);
    assert.equal(Script.made.length, 2, "and it connects again");
    manager.disconnect();
  }
});

test("options: defaults, getters, setters", () => {
  const manager = new Manager("http://localhost", { autoConnect: false });
  assert.equal(manager.reconnection(), true);
  assert.equal(manager.reconnectionAttempts(), Infinity);
  assert.equal(manager.reconnectionDelay(), 1000);
  assert.equal(manager.reconnectionDelayMax(), 5000);
  assert.equal(manager.randomizationFactor(), 0.5);
  assert.equal(manager.timeout(), 20000);
  assert.equal(manager.reconnectionDelay(7).reconnectionDelay(), 7);
  assert.equal(manager.backoff.min, 7);
  assert.equal(manager.randomizationFactor(0).randomizationFactor(), 0);
});

test("io(): who shares a connection", () => {
  const options = { autoConnect: false, transports: [scripted()] };
  const one = io("http://share.test/a", options);
  assert.equal(io("http://share.test/b", options).io, one.io);
  assert.equal(io("http://share.test:80/c", options).io, one.io);
  assert.notEqual(io("http://share.test/a", options).io, one.io, "this namespace is taken there");
  assert.notEqual(io("https://share.test/d", options).io, one.io);
  assert.notEqual(io("http://share.test/d", { ...options, path: "/other" }).io, one.io);
  for (const own of [{ forceNew: true }, { "force new connection": true }, { multiplex: false }]) {
    assert.notEqual(io("http://share.test/e", { ...options, ...own }).io, one.io);
  }
  assert.deepEqual({ ...io("http://query.test/?a=1", options).io.opts.query }, { a: "1" });
  assert.equal(io.Manager, Manager);
  assert.equal(io.protocol, 5);
});
