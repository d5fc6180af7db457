// A thousand clients behind a load balancer that gives every request to the next server: no sticky sessions. Node's
// servers cannot do that: they get each client's requests at one server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { io } from "client4";
import { cluster } from "../lib/cluster.mjs";
import { ask, next, reference, until } from "../lib/fixture.mjs";
import { haproxy } from "../lib/haproxy.mjs";
import { redis } from "../lib/redis.mjs";

const program = reference ? "node" : "ours";
const WAYS = {
  "WebSocket only": { transports: ["websocket"] },
  "polling only": { transports: ["polling"] },
  "polling, then upgraded": { transports: ["polling", "websocket"], upgrades: true },
};
/** Of each way, so that there are a thousand in all. */
const COUNT = { "WebSocket only": 200, "polling only": 400, "polling, then upgraded": 400 };

describe(`three servers (${program}) behind haproxy, round robin`, () => {
  let store;
  let world;
  let balancer;
  before(async () => {
    store = await redis();
    world = await cluster([program, program, program], { redis: store, kind: "classic" });
    balancer = await haproxy(world.nodes, reference ? { balance: "hdr(x-client)" } : {});
  });
  after(async () => { await balancer?.end(); await world?.end(); await store?.end(); });

  for (const [name, { transports, upgrades }] of Object.entries(WAYS)) {
    // What needs a server to carry requests of another's clients.
    const skip = !reference && transports[0] === "polling" && "servers do not carry each other's requests yet";
    it(`${COUNT[name]} clients, ${name}: no error`, { skip, timeout: 90_000 }, async () => {
      const faults = [];
      const sockets = [];
      const open = async (index) => {
        const socket = io(balancer.url, { forceNew: true, reconnection: false, transports, extraHeaders: { "x-client": randomUUID() } });
        socket.on("connect_error", (error) => faults.push(`${index}: ${error.message}`));
        socket.on("disconnect", (reason) => faults.push(`${index}: ${reason}`));
        socket.news = [];
        socket.on("news", (from) => socket.news.push(from));
        sockets.push(socket);
        await next(socket, "connect", 20_000);
        assert.deepEqual(await ask(socket, "echo", index, "é", Buffer.from([index % 256])), [index, "é", Buffer.from([index % 256])]);
        if (upgrades) await until(() => socket.io.engine.transport.name === "websocket", `the upgrade of ${index}`, 20_000);
        assert.deepEqual(await ask(socket, "echo", index), [index]);
      };
      try {
        let opened = 0;
        const worker = async () => { while (opened < COUNT[name]) await open(opened++); };
        await Promise.all(Array.from({ length: 20 }, worker));
        const stats = await Promise.all(world.nodes.map((node) => node.stats()));
        assert.equal(stats.reduce((sum, { sockets }) => sum + sockets, 0), COUNT[name]);
        for (const { sockets } of stats) assert.ok(sockets > COUNT[name] / 5, `each has its share: ${JSON.stringify(stats)}`);
        for (const node of world.nodes) await node.do("emit", { args: ["news", node.name] });
        for (const socket of sockets) await until(() => socket.news.length >= 3, "what every server says", 20_000);
        for (const socket of sockets) assert.deepEqual(socket.news.toSorted(), ["a", "b", "c"]);
        assert.deepEqual(faults, []);
      } finally {
        sockets.forEach((socket) => socket.disconnect());
        await until(async () => (await Promise.all(world.nodes.map((node) => node.stats()))).every(({ sockets }) => sockets === 0), "the end of all", 20_000);
      }
    });
  }
});
