import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../.build/backoff.js";

test("the plan doubles up to the ceiling", () => {
  const backoff = new Backoff({ min: 1000, max: 5000 });
  assert.deepEqual([1, 2, 3, 4, 5].map(() => backoff.duration()), [1000, 2000, 4000, 5000, 5000]);
  assert.equal(backoff.attempts, 5);
});

test("jitter spreads evenly around the plan, and below the ceiling once there", () => {
  const range = (level) =>
    [0, 0.5, 1 - 1e-9].map((dice) => {
      const backoff = new Backoff({ min: 1000, max: 5000, jitter: 0.5 });
      for (let i = 0; i < level; i++) backoff.duration();
      return backoff.duration(() => dice);
    });
  assert.deepEqual(range(0), [500, 1000, 1499]);
  assert.deepEqual(range(1), [1000, 2000, 2999]);
  assert.deepEqual(range(2), [2000, 3500, 4999], "cut off at the ceiling, not piled up there");
  assert.deepEqual(range(9), [2500, 3750, 4999], "no crowd in step");
});

test("after very many attempts there is still a delay (2^1024 is Infinity)", () => {
  const backoff = new Backoff({ min: 1000, max: 5000, jitter: 0.5 });
  for (let i = 0; i < 3000; i++) assert.ok(backoff.duration() >= 500);
});

test("a success starts the count again, only a stable connection the delay", () => {
  const backoff = new Backoff({ min: 100, max: 10000 });
  for (let i = 0; i < 3; i++) backoff.duration();
  backoff.reset();
  assert.equal(backoff.attempts, 0);
  assert.equal(backoff.duration(), 800, "a server that accepts and drops is not hammered");
  backoff.settle();
  assert.equal(backoff.duration(), 100);
});

test("what is no jitter is none", () => {
  for (const jitter of [-1, 0, 2, NaN, undefined]) assert.equal(new Backoff({ min: 70, max: 90, jitter }).duration(), 70);
});
