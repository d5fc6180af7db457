// What a server must live through besides: no descriptors left, readers of a byte a second, odd JSON, packed bodies.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { io as io4 } from "client4";
import { ask, fixture, fixtureWithFiles, next, oursOnly, sleep, until } from "../lib/fixture.mjs";
import { handshake, post, socket } from "../lib/engine.mjs";
import { connect, frame, upgradeRequest } from "../lib/raw.mjs";

const CHAT = "/socket.io/?EIO=4&transport=websocket";
const ECHO = "/engine.io/?EIO=4&transport=websocket";

/** Processor time of a process, user and system, in hundredths of a second. */
const readStat = (pid) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ").slice(11, 13).map(Number);

async function neighbour(server) {
  const ws = await socket(`${server.url}${ECHO}`);
  await ws.text();
  ws.send("4still here");
  assert.equal(await ws.message((data) => data !== "2"), "4still here");
  ws.close();
}

describe("resources", () => {
  it("out of descriptors it waits, without spinning, and recovers", async () => {
    const server = await fixtureWithFiles(64);
    const held = Array.from({ length: 150 }, () => connect(server.port));
    await sleep(500);
    const spent = () => {
      const [user, system] = readStat(server.pid);
      return user + system;
    };
    const before = spent();
    await sleep(1000);
    // In hundredths of a second: a loop that spins would take all hundred.
    assert.ok(spent() - before < 50, `${spent() - before} % of a processor`);
    held.forEach((raw) => raw.reset());
    await until(() => neighbour(server).then(() => true, () => false), "it serves again", 5000);
    assert.equal(await server.stop(), 0);
  });

  it("a client that reads a byte a second is bounded", { skip: oursOnly }, async () => {
    const server = await fixture();
    const raw = connect(server.port);
    await raw.write(upgradeRequest(CHAT));
    await until(() => raw.frames().length >= 1, "the open packet");
    await raw.write(frame(1, "40"));
    await until(() => raw.frames().length >= 3, "the answer");
    raw.socket.pause();
    const drip = setInterval(() => raw.socket.read(1), 1000);
    const healthy = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(healthy, "connect");
    const before = server.memory();
    for (let i = 0; i < 300; i++) await ask(healthy, "all-in", [], [], "news", "x".repeat(50_000));
    assert.ok(server.memory() - before < 30e6, `${server.memory() - before} bytes`);
    const { disconnects } = await server.log();
    assert.deepEqual(disconnects.map((entry) => entry.reason), ["slow consumer"]);
    clearInterval(drip);
    raw.destroy();
    healthy.disconnect();
    assert.equal(await server.stop(), 0);
  });

  it("a connection that was large and is idle is small again", { skip: oursOnly }, async () => {
    const server = await fixture();
    const all = await Promise.all(Array.from({ length: 200 }, async () => {
      const ws = await socket(`${server.url}${ECHO}`);
      await ws.text();
      return ws;
    }));
    const idle = server.memory();
    await Promise.all(all.map(async (ws) => {
      ws.send("4" + "x".repeat(65_536));
      await ws.message((data) => data !== "2");
    }));
    await sleep(200);
    const grown = server.memory() - idle;
    // 200 × 64 KiB would be 13 MB, twice that with both buffers; the allocator may keep some pages for later.
    assert.ok(grown < 12e6, `${grown} bytes kept for 200 idle connections`);
    all.forEach((ws) => ws.close());
    await server.stop();
  });
});

describe("odd JSON", () => {
  const relay = async (ws, text) => {
    ws.send(`42["message",${text}]`);
    return (await ws.message()).slice('42["message-back",'.length, -1);
  };

  it("lone surrogates, NUL, U+FFFE, minus zero and exponents pass through", async () => {
    const server = await fixture();
    const ws = await socket(`${server.url}${CHAT}`);
    await ws.text();
    ws.send("40");
    await ws.text();
    await ws.text();
    for (const text of ['"\\ud800"', '"\\u0000"', '"\ufffe"', '"\\/"']) {
      assert.equal(JSON.parse(await relay(ws, text)), JSON.parse(text), text);
    }
    for (const text of ["1e3", "1.0", "123456789012345"]) assert.equal(Number(await relay(ws, text)), Number(text));
    // Duplicate and unloved keys are data.
    const object = JSON.parse(await relay(ws, '{"__proto__":1,"constructor":2,"a":1,"a":2}'));
    assert.equal(object.a, 2);
    assert.equal(Object.getOwnPropertyDescriptor(object, "__proto__").value, 1);
    ws.close();
    await server.stop();
  });

  it("a hundred thousand keys cost time in proportion", async () => {
    const server = await fixture();
    const client = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(client, "connect");
    const object = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i]));
    const start = Date.now();
    const [same] = await ask(client, "echo", object);
    assert.equal(Object.keys(same).length, 50_000);
    assert.ok(Date.now() - start < 3000, `${Date.now() - start} ms`);
    client.disconnect();
    await server.stop();
  });
});

describe("bodies", () => {
  it("a compressed body is refused", { skip: oursOnly }, async () => {
    const server = await fixture();
    const base = `${server.url}/engine.io/`;
    const { sid } = await handshake(base);
    const response = await post(base, sid, gzipSync("4x"), { "content-encoding": "gzip" });
    assert.equal(response.status, 415);
    await neighbour(server);
    await server.stop();
  });
});

describe("blocking", () => {
  it("many sessions with a failing handler end one by one", { skip: oursOnly }, async () => {
    const server = await fixture();
    const healthy = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(healthy, "connect");
    for (let i = 0; i < 20; i++) {
      const client = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
      await next(client, "connect");
      client.emit("panic");
      await next(client, "disconnect");
      assert.deepEqual(await ask(healthy, "echo", i), [i]);
    }
    const { disconnects } = await server.log();
    assert.deepEqual([...new Set(disconnects.map((entry) => entry.reason))], ["server error"]);
    assert.equal(disconnects.length, 20);
    healthy.disconnect();
    assert.equal(await server.stop(), 0);
  });
});
