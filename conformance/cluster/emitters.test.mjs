// Who sends to a cluster without being one of its servers: npm's emitters to ours, and ours to Node's.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { KINDS, MIXED, cluster } from "../lib/cluster.mjs";
import { reference, until } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";
import { pack } from "../lib/values.mjs";

const ALL = ["a1", "b1", "c1"];
const BYTES = Buffer.from([0, 255]);

/** The same verbs on each emitter; a verb resolves when the broker has the message. */
const EMITTERS = {
  "npm redis-emitter": {
    kinds: ["classic"],
    make: async (world, store) => {
      const client = await store.client();
      return {
        async say({ nsp = "/", rooms = [], except = [], volatile, compress, args: [verb, ...args], into, close }) {
          let emitter = new Emitter(client).of(nsp).to(rooms).except(except);
          if (volatile) emitter = emitter.volatile;
          if (compress !== undefined) emitter = emitter.compress(compress);
          if (verb === "emit") emitter.emit(...args);
          if (verb === "join") emitter.socketsJoin(into);
          if (verb === "leave") emitter.socketsLeave(into);
          if (verb === "disconnect") emitter.disconnectSockets(close);
          if (verb === "server-emit") new Emitter(client).of(nsp).serverSideEmit(...args);
          await client.ping();
        },
        end: () => client.disconnect(),
      };
    },
  },
  // The emitter for streams is in no registry: its entries by hand, as the vectors have them.
  "streams emitter, by hand": {
    kinds: ["streams"],
    make: async (world, store) => {
      const client = await store.client();
      const types = { emit: 3, join: 4, leave: 5, disconnect: 6, "server-emit": 9 };
      return {
        async say({ nsp = "/", rooms = [], except = [], volatile, compress, args: [verb, ...args], into, close }) {
          const flags = {};
          if (volatile) flags.volatile = true;
          if (compress !== undefined) flags.compress = compress;
          const opts = { rooms, flags, except };
          const data = {
            emit: { packet: { type: 2, data: args, nsp }, opts },
            join: { opts: { rooms, except, flags: {} }, rooms: into },
            leave: { opts: { rooms, except, flags: {} }, rooms: into },
            disconnect: { opts: { rooms, except, flags: {} }, close },
            "server-emit": { packet: args },
          }[verb];
          const text = JSON.stringify(data).includes('"Buffer"') ? encode(data).toString("base64") : JSON.stringify(data);
          await client.xAdd("socket.io", "*", { uid: "emitter", nsp, type: String(types[verb]), data: text });
        },
        end: () => client.disconnect(),
      };
    },
  },
  ours: {
    kinds: ["classic", "sharded", "streams"],
    skip: reference && "asked of ours only",
    make: async (world) => ({ say: (command) => world.nodes.find((one) => one.ours).do("emitter", command), end() {} }),
  },
};

/** MessagePack of what the streams emitter puts in an entry; the adapter brings the encoder along. */
const { createRequire } = await import("node:module");
const { encode: write } = createRequire(createRequire(import.meta.url).resolve("@socket.io/redis-streams-adapter"))("@msgpack/msgpack");
const encode = (data) => Buffer.from(write(data));

for (const [name, { kinds, skip, make }] of Object.entries(EMITTERS)) {
  for (const kind of kinds.filter((kind) => KINDS.includes(kind))) {
    describe(`${name}, ${kind}: ${MIXED.join(", ")}`, { skip }, () => {
      let store;
      let world;
      let emitter;
      const id = (who) => world.people.find((person) => person.name === who).socket.id;
      before(async () => {
        store = await redis();
        world = await cluster(MIXED, { redis: store, kind });
        for (const node of world.nodes) {
          const person = await world.client(node, `${node.name}1`);
          await person.ask("join", person.name === "b1" ? "blue" : "red");
        }
        emitter = await make(world, store);
      });
      after(async () => { emitter?.end(); await world?.end(); await store?.end(); });

      /** Exactly these hear exactly this. The emitter says last what all wait for. */
      async function heard(command, members, event) {
        await emitter.say(command);
        await emitter.say({ nsp: command.nsp, args: ["emit", "fence", "emitter"] });
        const people = world.people.filter((person) => person.socket.connected);
        await Promise.all(people.map((person) => person.until(([event, by]) => event === "fence" && by === "emitter", "the end")));
        assert.deepEqual(pack(Object.fromEntries(people.map((person) => [person.name, person.take()]))), pack(Object.fromEntries(people.map((person) => [person.name, members.includes(person.name) ? [event] : []]))));
      }

      it("emits to all, with every kind of value", () =>
        heard({ args: ["emit", "news", 1, -0.5, "é😀", null, true, [], { a: [1] }] }, ALL, ["news", 1, -0.5, "é😀", null, true, [], { a: [1] }]));
      it("emits binary", () => heard({ args: ["emit", "news", BYTES, { deep: BYTES }] }, ALL, ["news", BYTES, { deep: BYTES }]));
      it("emits to a room", () => heard({ rooms: ["red"], args: ["emit", "r"] }, ["a1", "c1"], ["r"]));
      it("emits to rooms, each socket once", () => heard({ rooms: ["red", "blue", id("a1")], args: ["emit", "r"] }, ALL, ["r"]));
      it("leaves out rooms", () => heard({ except: ["red"], args: ["emit", "e"] }, ["b1"], ["e"]));
      it("leaves out a socket", () => heard({ except: [id("c1")], args: ["emit", "e"] }, ["a1", "b1"], ["e"]));
      it("knows volatile and compress", () => heard({ volatile: true, compress: false, args: ["emit", "v"] }, ALL, ["v"]));
      it("keeps namespaces apart", async () => {
        await emitter.say({ nsp: "/custom", args: ["emit", "elsewhere"] });
        await heard({ args: ["emit", "here"] }, ALL, ["here"]);
      });
      it("has sockets join and leave", async () => {
        await emitter.say({ rooms: ["red"], args: ["join"], into: ["club"] });
        await heard({ rooms: ["club"], args: ["emit", "club"] }, ["a1", "c1"], ["club"]);
        await emitter.say({ rooms: ["club"], except: [id("a1")], args: ["leave"], into: ["club"] });
        await heard({ rooms: ["club"], args: ["emit", "club"] }, ["a1"], ["club"]);
      });
      it("tells the servers", async () => {
        await emitter.say({ args: ["server-emit", "server-note", 1, { a: 2 }] });
        for (const one of world.nodes) {
          await until(async () => pack((await one.do("heard")).map(({ args }) => args)).some((args) => JSON.stringify(args) === '[1,{"a":2}]'), `${one.name} is told`);
        }
      });
      it("counts as nobody", async () => {
        for (const one of world.nodes) assert.equal(await one.do("count"), 3);
        assert.equal((await world.nodes[0].do("fetch")).length, 3);
      });
      it("disconnects", async () => {
        await emitter.say({ rooms: ["red"], except: [id("a1")], args: ["disconnect"], close: true });
        await world.people[2].until(([event]) => event === "disconnect", "the end of c1");
        await heard({ args: ["emit", "left"] }, ["a1", "b1"], ["left"]);
      });
    });
  }
}
