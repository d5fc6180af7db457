// Connection state recovery over a log that all servers share: a client that was cut off on one server comes back on
// another, is the same, and has missed nothing.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MIXED, cluster } from "../lib/cluster.mjs";
import { next, oursOnly, until } from "../lib/fixture.mjs";
import { door, redis } from "../lib/redis.mjs";
import { pack } from "../lib/values.mjs";

const BYTES = Buffer.from([1, 2, 255]);

/** Three servers with recovery, and a client that can be cut off one of them and let come back to another. */
async function stage(programs, then) {
  const store = await redis({ keep: true });
  const world = await cluster(programs, { redis: store, kind: "streams", flags: ["--recovery", "60000"] });
  const gate = await door(0);
  try {
    await then(world, gate, store);
  } finally {
    await world.end();
    gate.end();
    await store.end();
  }
}

/** A client at `server`, in the room `red`, with an offset, and with data that shall come back. */
async function settle(world, gate, server, name = "traveller") {
  gate.port = server.port;
  const person = await world.client(server, name, { url: gate.http, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
  await person.ask("join", "red");
  await person.ask("keep", { name });
  await world.fence(server);
  return person;
}

/** Cuts the client, has every server say something, and lets the client come back to `to`. */
async function cross(world, gate, person, to, { cut = () => {}, meanwhile = () => {}, without, round = 1 } = {}) {
  const id = person.socket.id;
  const gone = next(person.socket, "disconnect");
  await cut();
  gate.cut();
  await gone;
  person.take();
  const there = world.nodes.filter((one) => one !== without);
  const expected = [];
  await meanwhile();
  for (const from of there) {
    await until(() => from.do("emit", { args: ["all", from.name, round] }).then(() => true, () => false), "a broadcast");
    await from.do("emit", { rooms: ["red"], args: ["red", from.name, BYTES, round] });
    await from.do("emit", { rooms: [id], args: ["you", from.name, round] });
    await from.do("emit", { rooms: ["blue"], args: ["not for it"] });
    await from.do("emit", { except: ["red"], args: ["not for it either"] });
    expected.push(["all", from.name, round], ["red", from.name, BYTES, round], ["you", from.name, round]);
  }
  const back = next(person.socket, "connect");
  gate.port = to.port;
  gate.mend();
  await back;
  await world.fence(to, [person]).then((heard) => { person.missed = heard[person.name]; });
  return { id, expected };
}

function same(person, { id, expected }) {
  assert.equal(person.socket.recovered, true, "it is recovered");
  assert.equal(person.socket.id, id);
  // Each server's own in its order; what different servers said at the same time has none.
  const byServer = (events) => pack(events.filter(([event]) => event !== "disconnect")).sort((a, b) => (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0));
  assert.deepEqual(byServer(person.missed), byServer(expected));
}

const from = (index) => `${"abc"[index]} (${MIXED[index]})`;

describe(`recovery on streams: ${MIXED.join(", ")}`, () => {
  for (const [left, found] of [[0, 2], [2, 0], [2, 2], [0, 1]]) {
    it(`left ${from(left)} and came back on ${from(found)}`, () => stage(MIXED, async (world, gate) => {
      const person = await settle(world, gate, world.nodes[left]);
      const to = world.nodes[found];
      same(person, await cross(world, gate, person, to));
      assert.deepEqual((await person.ask("rooms")).sort(), [person.socket.id, "red"].sort());
      // What is said now arrives once and goes on from there: it may be cut off again.
      await world.nodes[1].do("emit", { rooms: ["red"], args: ["now"] });
      await person.until(([event]) => event === "now", "what is said now");
      assert.deepEqual((await world.fence(world.nodes[1], [person]))[person.name], [["now"]]);
      same(person, await cross(world, gate, person, world.nodes[left], { round: 2 }));
    }));
  }

  it("a secret is good once", () => stage(MIXED, async (world, gate) => {
    const person = await settle(world, gate, world.nodes[0]);
    const { _pid: pid, _lastOffset: offset } = person.socket;
    same(person, await cross(world, gate, person, world.nodes[2]));
    for (const server of world.nodes) {
      const thief = await world.client(server, `thief at ${server.name}`, { auth: { pid, offset } });
      assert.notEqual(thief.socket.id, person.socket.id);
      assert.ok(!thief.socket.recovered);
    }
  }));

  it("an offset that never was, is no end of anything", () => stage(MIXED, async (world, gate) => {
    for (const offset of ["", "0-0", "99999999999999-0", "-", "18446744073709551616-0", "1-1-1", "x", "$", "9".repeat(5000)]) {
      for (const server of world.nodes) {
        const person = await world.client(server, `${server.name} ${offset.slice(0, 20)}`, { auth: { pid: "A".repeat(20), offset } });
        assert.ok(!person.socket.recovered, `${offset} at ${server.name}`);
      }
    }
    assert.equal((await world.fence(world.nodes[0]))["a 0-0"].length, 0);
  }));

  it("Redis was away meanwhile", () => stage(MIXED, async (world, gate, store) => {
    const person = await settle(world, gate, world.nodes[2]);
    const meanwhile = async () => {
      await store.stop();
      await store.start();
      await world.counted();
      for (const one of world.nodes) await world.fence(one).catch(() => world.fence(one));
    };
    same(person, await cross(world, gate, person, world.nodes[2], { meanwhile }));
  }));

  for (const [index, program] of [[2, MIXED[2]], [0, "node"]]) {
    it(`the server that it left was killed meanwhile (${program})`, () => stage(MIXED, async (world, gate, store) => {
      const left = world.nodes[index];
      const person = await settle(world, gate, left);
      const client = await store.client();
      const meanwhile = async () => {
        await until(async () => (await client.keys("sio:session:*")).length === 1, "its session in Redis");
        left.signal("SIGKILL");
        await left.exited;
      };
      same(person, await cross(world, gate, person, world.nodes[2 - index], { meanwhile, without: left }));
      client.disconnect();
    }));
  }

  it("its server went down in good order", { skip: oursOnly }, () => stage(MIXED, async (world, gate) => {
    const left = world.nodes[2];
    const person = await settle(world, gate, left);
    same(person, await cross(world, gate, person, world.nodes[0], { cut: () => left.stop(), without: left }));
  }));

  it("its server was killed under it: a new socket, because nobody was left to write down the old one", () => stage(MIXED, async (world, gate) => {
    const left = world.nodes[2];
    const person = await settle(world, gate, left);
    const { id } = await cross(world, gate, person, world.nodes[0], { cut: () => left.signal("SIGKILL"), without: left });
    assert.equal(person.socket.recovered, false);
    assert.notEqual(person.socket.id, id);
    assert.deepEqual(person.missed.filter(([event]) => event !== "disconnect"), []);
  }));
});
