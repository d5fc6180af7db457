// Options of the adapters, in mixed clusters; and what a client that comes and goes costs Redis.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KINDS, MIXED, cluster } from "../lib/cluster.mjs";
import { oursOnly, until } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";

/** A cluster for one test. */
async function stage(options, then) {
  const store = await redis();
  const world = await cluster(MIXED, { redis: store, ...options });
  try {
    await then(world, store);
  } finally {
    await world.end();
    await store.end();
  }
}

/** A client on each server, in a room; what each server says to it, to a client and to all arrives everywhere. */
async function chat(world) {
  const people = [];
  for (const node of world.nodes) {
    const person = await world.client(node, `${node.name}1`);
    await person.ask("join", "red");
    people.push(person);
  }
  for (const from of world.nodes) {
    // A sharded adapter of Node subscribes to a room when the join is long answered.
    await until(async () => {
      await from.do("emit", { rooms: ["red"], args: ["probe"] });
      return Object.values(await world.fence(from)).every((heard) => heard.length);
    }, `the subscriptions, for ${from.name}`);
    await from.do("emit", { rooms: ["red"], args: ["room"] });
    for (const person of people) await from.do("emit", { rooms: [person.socket.id], args: ["you", person.name] });
    const heard = await world.fence(from);
    for (const { name } of people) assert.deepEqual(heard[name].filter(([event]) => event !== "probe"), [["room"], ["you", name]], `${name} heard ${from.name}`);
    const { answers } = await from.do("call", { rooms: ["red"], timeout: 4000, args: ["question"] });
    assert.deepEqual(answers.sort(), people.map(({ name }) => name));
    assert.equal((await from.do("fetch")).length, people.length);
    await world.fence(from);
  }
}

const only = (kind) => !KINDS.includes(kind) && "another kind is asked for";

describe(`options: ${MIXED.join(", ")}`, () => {
  for (const mode of ["static", "dynamic-private"]) {
    it(`sharded, ${mode}`, { skip: only("sharded") }, () => stage({ kind: "sharded", flags: ["--mode", mode] }, chat));
  }

  it("classic, answers on the asker's own channel", { skip: only("classic") }, () => stage({ kind: "classic", flags: ["--specific"] }, chat));

  for (const kind of KINDS) {
    it(`${kind}, a prefix of one's own keeps clusters on one Redis apart`, () =>
      stage({ kind, flags: ["--key", "one"] }, async (world, store) => {
        const other = await cluster([MIXED[2]], { redis: store, kind, flags: ["--key", "two"] });
        const stranger = await other.client(other.nodes[0], "stranger");
        await chat(world);
        assert.deepEqual((await other.fence(other.nodes[0])).stranger, []);
        assert.ok(stranger.socket.connected);
        await other.end();
      }));

    it(`${kind}, handshakes are shared by who is told to`, { skip: oursOnly }, () => {
      const stop = [];
      return stage({ kind }, async (world, store) => {
        const open = await cluster(["ours"], { redis: store, kind, flags: ["--share-handshake"], count: 4 });
        stop.push(open);
        await open.client(open.nodes[0], "known", { query: { me: "known" }, auth: { token: "t" }, extraHeaders: { "x-conformance": "yes" } });
        for (const from of world.nodes) {
          const [one] = await from.do("fetch");
          assert.deepEqual([one.auth, one.header, one.query.me], [{ token: "t" }, "yes", "known"], `found by ${from.name}`);
        }
      }).finally(() => Promise.all(stop.map((one) => one.end())));
    });

    it(`${kind}, a client that comes and goes costs Redis nothing`, { skip: oursOnly }, async () => {
      const store = await redis();
      const world = await cluster(["ours", "ours"], { redis: store, kind });
      const watch = await store.watch();
      try {
        for (let n = 0; n < 30; n++) {
          const person = await world.client(world.nodes[n % 2], `guest ${n}`);
          await person.ask("echo", n);
          person.socket.disconnect();
        }
        await until(async () => (await Promise.all(world.nodes.map((node) => node.stats()))).every(({ sockets }) => sockets === 0), "the end of all");
        // Reading a stream is going on all the time, and a connection is asked whether it is alive.
        const commands = watch.text.split("\r\n").slice(1, -1).filter((line) => !/"(ping|xread)"/i.test(line));
        assert.deepEqual(commands, []);
      } finally {
        watch.stop();
        await world.end();
        await store.end();
      }
    });
  }
});
