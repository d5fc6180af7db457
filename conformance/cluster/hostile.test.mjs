// Whoever can publish on Redis is trusted, and makes mistakes all the same: nothing that comes on a channel, in a
// stream or out of a session may end one of our servers, deafen it, or touch a client that it was not for.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { KINDS, cluster } from "../lib/cluster.mjs";
import { oursOnly, until } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";

const { encode } = createRequire(createRequire(import.meta.url).resolve("@socket.io/redis-streams-adapter"))("@msgpack/msgpack");
const msgpack = (value) => Buffer.from(encode(value));
const json = (value) => Buffer.from(JSON.stringify(value));

/** Mulberry32: the same noise every time. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const event = (name, ...args) => ({ type: 2, data: [name, ...args], nsp: "/" });
const opts = { rooms: [], except: [], flags: {} };

/** Messages that are whole and mean nothing good. */
const ODD = [
  // Classic broadcasts: [uid, packet, opts].
  [], ["x"], ["x", event("two")], ["x", event("four"), opts, 4], {}, null, 7, "text", true,
  ["x", null, opts], ["x", 5, opts], ["x", [], opts], ["x", {}, opts], ["x", { type: 2 }, opts], ["x", { type: 2, data: {} }, opts],
  ["x", { type: 2, data: [] }, opts], ["x", { type: 2, data: [5] }, opts], ["x", { type: 2, data: [{ a: 1 }, 2] }, opts],
  ...[-1, 0, 1, 3, 4, 7, 2.5, "2", null, 1e300].map((type) => ["x", { type, data: ["odd type"], nsp: "/" }, opts]),
  ["x", { type: 2, data: ["elsewhere"], nsp: "/nowhere" }, opts], ["x", { type: 2, data: ["nsp"], nsp: 5 }, opts],
  ["x", event("nobody"), { rooms: ["nobody"] }], ["x", event("rooms"), { rooms: "red" }], ["x", event("rooms"), { rooms: { length: 1e9 } }], ["x", event("rooms"), { rooms: [null, {}, [[]]] }],
  ["x", { type: 2, data: ["connect"], nsp: "/" }, opts], ["x", { type: 2, data: ["disconnect", 1], nsp: "/" }, opts], ["x", { type: 2, data: ["connect_error"], nsp: "/" }, opts],
  [5, event("uid"), { rooms: ["nobody"] }], [null, event("uid"), { rooms: ["nobody"] }],
  // Questions of the classic kind, and answers.
  ...[-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 1e18, null, "5"].flatMap((type) => [
    { type }, { type, uid: "x" }, { type, uid: 5, requestId: 5 }, { type, uid: "x", requestId: "r" }, { type, uid: "x", requestId: "r", opts: 5 }, { type, uid: "x", requestId: "r", opts: { rooms: 5, except: {} } },
    { type, uid: "x", requestId: "r", rooms: {}, opts: { rooms: ["nobody"], except: [] } }, { type, uid: "x", requestId: "r", packet: 5, opts: { rooms: ["nobody"], except: [] } },
    { type, uid: "x", requestId: "r", data: 5, clientCount: -5, sockets: 5, packet: null }, { requestid: "old", type }, { requestid: "old", type, sid: "x", room: 5, data: [] },
  ]),
  // The family of ClusterAdapter: {uid, nsp, type, data}.
  ...[-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1e18, "3", null].flatMap((type) => [
    { uid: "x", nsp: "/", type }, { uid: "x", nsp: "/", type, data: null }, { uid: "x", nsp: "/", type, data: 5 }, { uid: "x", nsp: "/", type, data: [] }, { uid: "x", nsp: "/", type, data: {} },
    { uid: "x", nsp: "/", type, data: { packet: 5, opts: { rooms: ["nobody"], except: [], flags: {} }, rooms: 5, requestId: 5, clientCount: "x", sockets: {} } }, { uid: "x", nsp: 5, type, data: { packet: event("n"), opts: { rooms: ["nobody"] } } },
    { uid: "x", nsp: "/", type, data: { packet: { type: 2, data: [] }, opts: null } }, { uid: "x", nsp: "/", type, data: { packet: [], opts: { rooms: ["nobody"] }, requestId: "r", sockets: [{}, 5, null], clientCount: 2 ** 53 } },
    { nsp: "/", type, data: { packet: event("n"), opts: { rooms: ["nobody"] } } }, { uid: "x", type },
  ]),
];

/** Bytes that are nothing whole. */
function broken() {
  const next = random(7);
  const noise = Array.from({ length: 300 }, () => Buffer.from(Array.from({ length: next() * 60 }, () => next() * 256)));
  const whole = [msgpack(["x", event("cut", "éé", Buffer.from([1])), opts]), json({ uid: "x", nsp: "/", type: 3, data: { packet: event("cut", "éé"), opts } }), json({ type: 7, uid: "x", requestId: "r", packet: event("cut"), opts })];
  const cut = whole.flatMap((bytes) => Array.from({ length: bytes.length }, (_, end) => bytes.subarray(0, end)));
  const tail = whole.map((bytes) => Buffer.concat([bytes, Buffer.from([0x01])]));
  return [
    Buffer.alloc(0), ...noise, ...cut, ...tail,
    // Deep, and long by their own word only.
    Buffer.alloc(100_000, 0x91), Buffer.alloc(100_000, 0x81), Buffer.alloc(100_000, "["), Buffer.from('{"a":'.repeat(50_000)), Buffer.from(`{"type":5,"opts":${"[".repeat(100_000)}`),
    ...["ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff01", "93ddffffffff", "93a178dfffffffff", "93a17882a474797065"].map((hex) => Buffer.from(hex, "hex")),
    Buffer.from('{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["\\ud800"]},"opts":{"rooms":["nobody"]}}}'), Buffer.from("c1", "hex"), Buffer.from("{\u0000}"), Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
  ];
}

/** Every message on every channel of a kind, as commands for Redis. */
function* attacks(kind, uids) {
  const key = "socket.io";
  const bodies = [...ODD.flatMap((value) => [json(value), msgpack(value)]), ...broken()];
  const channels = {
    classic: [`${key}#/#`, `${key}#/#red#`, `${key}-request#/#`, `${key}-response#/#`, ...uids.map((uid) => `${key}-response#/#${uid}#`), `${key}#/##`, `${key}#/custom#`],
    sharded: [`${key}#/#`, `${key}#/#red#`, ...uids.map((uid) => `${key}#/#${uid}#`)],
    streams: [`${key}#/#`, ...uids.map((uid) => `${key}#/#${uid}#`)],
  }[kind];
  for (const channel of channels) for (const body of bodies) yield [kind === "sharded" ? "SPUBLISH" : "PUBLISH", channel, body];
  if (kind !== "streams") return;
  for (const body of bodies) {
    for (const type of ["3", "4", "6", "9"]) yield ["XADD", key, "*", "uid", "x", "nsp", "/", "type", type, "data", body];
    yield ["XADD", key, "*", "uid", "x", "nsp", "/", "type", "3", "data", body.toString("base64")];
  }
  for (const fields of [["a", "b"], ["nsp", "/"], ["nsp", "/", "type", "3"], ["uid", "x", "nsp", "/", "type", ""], ["uid", "x", "nsp", "/", "type", "99999999999999999999", "data", "{}"], ["nsp", "/", "nsp", "/", "type", "3", "type", "6"], ["nsp", "", "type", "3", "data", "{}"]]) yield ["XADD", key, "*", ...fields];
}

for (const kind of KINDS) {
  describe(`${kind}: hostile messages`, { skip: oursOnly }, () => {
    it("are skipped, and harm nobody", { timeout: 120_000 }, async () => {
      const store = await redis();
      const world = await cluster(["ours", "ours"], { redis: store, kind, flags: kind === "streams" ? ["--recovery", "60000"] : [] });
      const client = await store.client();
      try {
        const [a, b] = world.nodes;
        const people = [await world.client(a, "a1"), await world.client(b, "b1")];
        for (const person of people) await person.ask("join", "red");
        await world.fence(a);
        const own = kind === "classic" ? "socket.io-response#/#?*" : "socket.io#/#?*";
        const listed = kind === "sharded" ? await client.sendCommand(["PUBSUB", "SHARDCHANNELS", own]) : await client.sendCommand(["PUBSUB", "CHANNELS", own]);
        const uids = listed.map((name) => name.slice(own.length - 2, -1)).filter((name) => name !== "red");
        assert.ok(uids.length >= 2, `channels of their own: ${uids}`);
        let sent = 0;
        for (const attack of attacks(kind, uids)) {
          client.sendCommand(attack).catch(() => {});
          // A client that asks something now is answered now.
          if (++sent % 1000 === 0) assert.deepEqual(await people[sent / 1000 % 2].ask("echo", sent), sent);
        }
        await client.ping();
        assert.ok(sent > 1000);
        for (const one of world.nodes) {
          // Nobody was disconnected, nobody is deaf, and each still answers.
          await until(async () => (await one.do("count")) === 2, `${one.name} counts two`);
          await one.do("emit", { args: ["after", one.name] });
          for (const person of people) await person.until(([event, by]) => event === "after" && by === one.name, `${one.name}'s broadcast at ${person.name}`);
          assert.equal((await one.do("fetch")).length, 2);
          assert.equal((await one.do("call", { rooms: ["red"], timeout: 4000, args: ["question"] })).answers.length, 2);
        }
        for (const person of people) {
          assert.ok(person.socket.connected);
          const odd = person.heard.filter(([name]) => typeof name !== "string" && typeof name !== "number");
          assert.deepEqual(odd, []);
        }
      } finally {
        client.disconnect();
        await world.end();
        await store.end();
      }
    });
  });
}
