import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../.build/emitter.js";

test("listeners are called in order, as often as added, and with all arguments", () => {
  const emitter = new Emitter();
  const calls = [];
  const first = (...args) => calls.push(["first", ...args]);
  emitter.on("e", first).on("e", (...args) => calls.push(["second", ...args])).addEventListener("e", first);
  emitter.emit("e", 1, 2);
  assert.deepEqual(calls, [["first", 1, 2], ["second", 1, 2], ["first", 1, 2]]);
});

test("once, and removing what once added", () => {
  const emitter = new Emitter();
  let calls = 0;
  const listener = () => calls++;
  emitter.once("e", listener);
  assert.deepEqual(emitter.listeners("e"), [listener]);
  emitter.emit("e").emit("e");
  assert.equal(calls, 1);
  emitter.once("e", listener).off("e", listener).emit("e");
  assert.equal(calls, 1);
  assert.equal(emitter.hasListeners("e"), false);
});

test("off: one, of one event, all; under its other names too", () => {
  for (const off of ["off", "removeListener", "removeEventListener", "removeAllListeners"]) {
    const emitter = new Emitter();
    const one = () => {};
    emitter.on("a", one).on("a", () => {}).on("b", one);
    emitter[off]("a", one);
    assert.equal(emitter.listeners("a").length, 1);
    emitter[off]("a");
    assert.equal(emitter.hasListeners("a"), false);
    emitter[off]();
    assert.equal(emitter.hasListeners("b"), false);
  }
});

test("a listener may remove itself and others while the event runs", () => {
  const emitter = new Emitter();
  let calls = 0;
  const self = () => (calls++, emitter.off("e", self));
  emitter.on("e", self).on("e", () => calls++);
  emitter.emit("e");
  assert.equal(calls, 2);
});

test("events named like members of objects", () => {
  const emitter = new Emitter();
  let calls = 0;
  emitter.on("constructor", () => calls++).on("__proto__", () => calls++);
  emitter.emit("constructor").emit("__proto__").emit("toString");
  assert.equal(calls, 2);
});
