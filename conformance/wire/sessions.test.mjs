// Hostile sessions: forged recovery, foreign pages, broken MessagePack, probes and polls that are never finished,
// handlers slower than their client (threats D, E, F18, G, H, I, J). Each ends with a client that notices nothing.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { io as io4 } from "client4";
import { ask, collect, fixture, next, oursOnly, reference, sleep, until } from "../lib/fixture.mjs";
import { handshake, poll, post, socket } from "../lib/engine.mjs";
import { connect, upgradeRequest } from "../lib/raw.mjs";

const CHAT = "/socket.io/?EIO=4&transport=websocket";

async function open(server, first = "40") {
  const ws = await socket(`${server.url}${CHAT}`);
  await ws.text();
  ws.send(first);
  return ws;
}

async function neighbour(server) {
  const ws = await open(server);
  await ws.message((data) => data.startsWith("40"));
  ws.send('429["message-with-ack","still here"]');
  assert.equal(await ws.message((data) => data.startsWith("439")), '439["still here"]');
  ws.close();
}

describe("recovery", () => {
  let server;
  before(async () => { server = await fixture("--recovery", "60000"); });
  after(() => server?.stop());

  /** A session that was cut: what its client would say to get it back. */
  async function lost() {
    const ws = await open(server);
    const { sid, pid } = JSON.parse((await ws.text()).slice(2));
    const offset = JSON.parse((await ws.text()).slice(2)).at(-1);
    ws.send('421["join","room"]');
    await ws.message((data) => data.startsWith("431"));
    ws.ws.terminate();
    await until(async () => (await server.log()).disconnects.some((entry) => entry.id === sid), "the server has noticed");
    return { sid, pid, offset };
  }

  const answer = async (ws) => JSON.parse((await ws.message((data) => data.startsWith("40") || data.startsWith("44"))).slice(2));

  for (const [name, forge] of [
    ["an unknown pid", ({ offset }) => ({ pid: "AAAAAAAAAAAAAAAAAAAA", offset })],
    ["the public id instead of the pid", ({ sid, offset }) => ({ pid: sid, offset })],
    ["an offset from the future", ({ pid }) => ({ pid, offset: "zzzzzzz" })],
    ["an offset that is no string", ({ pid }) => ({ pid, offset: 7 })],
    ["a pid that is no string", ({ offset }) => ({ pid: { toString: "x" }, offset })],
    ["an offset of 100 kB", ({ pid }) => ({ pid, offset: "x".repeat(100_000) })],
    ["a pid of 100 kB", ({ offset }) => ({ pid: "x".repeat(100_000), offset })],
    ["__proto__", ({ offset }) => ({ pid: "__proto__", offset })],
  ]) {
    it(`${name} makes a fresh socket`, async () => {
      const old = await lost();
      const ws = await open(server, `40${JSON.stringify(forge(old))}`);
      const fresh = await answer(ws);
      assert.notEqual(fresh.sid, old.sid);
      assert.notEqual(fresh.pid, old.pid);
      ws.send('422["rooms"]');
      assert.ok(!(await ws.message((data) => data.startsWith("432"))).includes("room\""), "no rooms of somebody else");
      ws.close();
      await neighbour(server);
    });
  }

  it("a pid of another namespace makes a fresh socket", async () => {
    const { sid, pid, offset } = await lost();
    const ws = await open(server, `40/custom,${JSON.stringify({ pid, offset })}`);
    const text = await ws.message((data) => data.startsWith("40"));
    assert.ok(!text.includes(sid) && !text.includes(pid), text);
    ws.close();
  });

  it("a pid is one socket's, however many come with it at once", { skip: oursOnly }, async () => {
    const { sid, pid, offset } = await lost();
    const all = await Promise.all(Array.from({ length: 8 }, () => open(server, `40${JSON.stringify({ pid, offset })}`)));
    await Promise.all(all.map(answer));
    // Who comes with the pid of a living socket takes its place (its client may have lost that connection without
    // our noticing yet): the others are closed or have ids of their own.
    const asker = await open(server);
    await answer(asker);
    const living = async () => {
      asker.send('421["sockets"]');
      return JSON.parse((await asker.message((data) => data.startsWith("431"))).slice(3))[0];
    };
    const ids = await living();
    assert.equal(new Set(ids).size, ids.length, "no two sockets with one id");
    assert.equal(ids.filter((id) => id === sid).length, 1, "one is the old socket");
    await Promise.all(all.map(async (ws) => { ws.close(); await ws.closed(); }));
    await until(async () => (await living()).length === 1, "all are gone");
    asker.close();
    await neighbour(server);
  });

  it("a pid whose socket still lives closes that one first", { skip: oursOnly }, async () => {
    const old = await open(server);
    const { sid, pid } = JSON.parse((await old.text()).slice(2));
    const offset = JSON.parse((await old.text()).slice(2)).at(-1);
    const ws = await open(server, `40${JSON.stringify({ pid, offset })}`);
    const back = await answer(ws);
    if (back.sid === sid) await old.closed();
    ws.send('423["sockets"]');
    const [ids] = JSON.parse((await ws.message((data) => data.startsWith("433"))).slice(3));
    assert.equal(new Set(ids).size, ids.length, "no two sockets with one id");
    ws.close();
    old.close();
    await neighbour(server);
  });

  it("no pid is ever told to others", async () => {
    const one = await open(server);
    const { pid } = JSON.parse((await one.text()).slice(2));
    const other = await open(server);
    await answer(other);
    other.send('421["sockets"]');
    const told = await other.message((data) => data.startsWith("431"));
    assert.ok(!told.includes(pid));
    assert.ok(!JSON.stringify(await server.log()).includes(pid));
    one.close();
    other.close();
  });
});

describe("pages of other sites", { skip: oursOnly }, () => {
  let strict, open4;
  before(async () => { strict = await fixture(); open4 = await fixture("--cors", "https://good.example"); });
  after(async () => { await strict?.stop(); await open4?.stop(); });

  for (const [origin, byDefault, listed] of [
    [undefined, true, true],
    ["https://good.example", false, true],
    ["HTTPS://GOOD.EXAMPLE", false, true],
    ["https://good.example:443", false, true],
    ["https://good.example:8443", false, false],
    ["http://good.example", false, false],
    ["https://good.example.evil.com", false, false],
    ["https://evil-good.example", false, false],
    ["https://good.example.", false, false],
    ["https://evil.com", false, false],
    ["null", false, false],
    ["https://good.example@evil.com", false, false],
    ["garbage", false, false],
  ]) {
    it(`${origin ?? "no origin"}`, async () => {
      for (const [server, right] of [[strict, byDefault], [open4, listed]]) {
        for (const transport of ["polling", "websocket"]) {
          const path = `/socket.io/?EIO=4&transport=${transport}`;
          const headers = origin === undefined ? {} : { Origin: origin };
          const request = transport === "websocket"
            ? upgradeRequest(path, { Host: `127.0.0.1:${server.port}`, ...headers })
            : `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${origin === undefined ? "" : `Origin: ${origin}\r\n`}\r\n`;
          const raw = connect(server.port);
          await raw.write(request);
          const { status } = await raw.response();
          raw.destroy();
          const fine = transport === "websocket" ? 101 : 200;
          assert.equal(status === fine, right, `${transport}: ${status}`);
          if (!right) assert.equal(status, 403);
        }
      }
    });
  }

  it("the page's own host", async () => {
    const response = await fetch(`${strict.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: strict.url } });
    assert.equal(response.status, 200);
    await response.text();
  });

  it("two origins", async () => {
    const raw = connect(open4.port);
    await raw.write(upgradeRequest(CHAT, { Origin: "https://good.example" }, { extra: ["Origin: https://good.example"] }));
    assert.equal((await raw.response()).status, 400);
    raw.destroy();
  });
});

describe("MessagePack", () => {
  let server;
  before(async () => { server = await fixture("--msgpack"); });
  after(async () => { if (server) assert.equal(await server.stop(), 0, "the server lived to the end"); });

  // {"type":0,"nsp":"/"} and {"type":2,"nsp":"/","data":["echo", …]}
  const text = (string) => Buffer.concat([Buffer.from([0xa0 | string.length]), Buffer.from(string)]);
  const CONNECT = Buffer.concat([Buffer.from([0x82]), text("type"), Buffer.from([0]), text("nsp"), text("/")]);
  const event = (...data) => Buffer.concat([Buffer.from([0x83]), text("type"), Buffer.from([2]), text("nsp"), text("/"), text("data"), Buffer.from([0x90 | (1 + data.length)]), text("echo"), ...data]);

  it("is spoken by hand", async () => {
    const ws = await open(server, CONNECT);
    assert.ok(Buffer.isBuffer(await ws.message()));
    await ws.message(); // auth
    ws.send(event(text("hi")));
    assert.ok((await ws.message()).includes("hi"));
    ws.close();
  });

  for (const [name, bytes] of [
    ["array32 of 4 G", event(Buffer.from([0xdd, 255, 255, 255, 255]))],
    ["map32 of 4 G", event(Buffer.from([0xdf, 255, 255, 255, 255]))],
    ["str32 of 4 G", event(Buffer.from([0xdb, 255, 255, 255, 255]))],
    ["bin32 of 4 G", event(Buffer.from([0xc6, 255, 255, 255, 255]))],
    ["ext32 of 4 G", event(Buffer.from([0xc9, 255, 255, 255, 255, 1]))],
    ["nesting of 50,000", event(Buffer.alloc(50_000, 0x91))],
    ["maps nested 10,000 deep", event(Buffer.concat(Array(10_000).fill(Buffer.from([0x81, 0xa1, 0x61]))))],
    ["a byte that is no type", event(Buffer.from([0xc1]))],
    ["invalid UTF-8", event(Buffer.from([0xa2, 0xff, 0xfe]))],
    ["an end in the middle", event(text("hi")).subarray(0, -1)],
    ["something behind the end", Buffer.concat([event(text("hi")), Buffer.from([1])])],
    ["a packet that is a number", Buffer.from([7])],
    ["a packet without a type", Buffer.concat([Buffer.from([0x81]), text("nsp"), text("/")])],
    ["a type of 99", Buffer.concat([Buffer.from([0x82]), text("type"), Buffer.from([99]), text("nsp"), text("/")])],
    ["a namespace that is a number", Buffer.concat([Buffer.from([0x82]), text("type"), Buffer.from([2]), text("nsp"), Buffer.from([1])])],
  ]) {
    it(`ends the connection after ${name}`, { skip: oursOnly }, async () => {
      const before = server.memory();
      const ws = await open(server, CONNECT);
      await ws.message();
      ws.send(bytes);
      await ws.closed();
      assert.ok(server.memory() - before < 30e6, `${server.memory() - before} bytes`);
      const healthy = await open(server, CONNECT);
      assert.ok(Buffer.isBuffer(await healthy.message()));
      healthy.close();
    });
  }
});

describe("sessions that are not finished", () => {
  it("probes by the hundred are dropped, and polling goes on", async () => {
    const server = await fixture("--upgrade-timeout", "300");
    const base = `${server.url}/socket.io/`;
    const probes = [];
    for (let i = 0; i < 100; i++) {
      const { sid } = await handshake(base);
      const ws = await socket(`${server.url}${CHAT}&sid=${sid}`);
      ws.send("2probe");
      probes.push({ sid, ws });
    }
    await Promise.all(probes.map(({ ws }) => ws.closed()));
    for (const { sid } of probes.slice(0, 10)) {
      assert.equal((await post(base, sid, "40")).status, 200);
      assert.match(await (await poll(base, sid)).text(), /40\{/);
    }
    await neighbour(server);
    await server.stop();
  });

  it("sessions that are abandoned are forgotten", async () => {
    const server = await fixture("--ping-interval", "100", "--ping-timeout", "100");
    for (let i = 0; i < 300; i++) await handshake(`${server.url}/socket.io/`);
    await until(async () => (await server.stats()).sessions === 0, "no session", 3000);
    await neighbour(server);
    await server.stop();
  });

  it("a polling client that never comes back is bounded, then gone", async () => {
    const server = await fixture("--ping-interval", "1000", "--ping-timeout", "500");
    const base = `${server.url}/socket.io/`;
    const { sid } = await handshake(base);
    await post(base, sid, "40");
    const healthy = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(healthy, "connect");
    const before = server.memory();
    for (let i = 0; i < 200; i++) await ask(healthy, "all-in", [], [], "news", "x".repeat(50_000));
    if (!reference) assert.ok(server.memory() - before < 30e6, `${server.memory() - before} bytes`);
    await until(async () => (await server.stats()).sockets === 1, "the other is gone", 5000);
    healthy.disconnect();
    await server.stop();
  });
});

describe("slow handlers", () => {
  it("hold back their own client and nobody else", { skip: oursOnly }, async () => {
    const server = await fixture();
    const busy = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(busy, "connect");
    const before = server.memory();
    let answered = 0;
    for (let i = 0; i < 2000; i++) busy.emit("late", 200, "x".repeat(10_000), () => { answered++; });
    await sleep(100);
    const start = Date.now();
    await neighbour(server);
    assert.ok(Date.now() - start < 500);
    assert.ok(server.memory() - before < 30e6, `${server.memory() - before} bytes`);
    await until(() => answered === 2000, "every answer", 20_000);
    busy.disconnect();
    await server.stop();
  });

  it("keep no socket alive that has left", async () => {
    const server = await fixture();
    for (let i = 0; i < 50; i++) {
      const socket = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
      await next(socket, "connect");
      socket.emit("late", 60_000);
      socket.emit("ask", "?");
      socket.disconnect();
    }
    await until(async () => {
      const { sessions, sockets, rooms } = await server.stats();
      return sessions + sockets + rooms === 0;
    }, "nothing left");
    const { disconnects } = await server.log();
    assert.equal(disconnects.length, 50, "one disconnect each");
    await server.stop();
  });

  it("a disconnect in the middle of a middleware leaves nothing", async () => {
    const server = await fixture();
    for (let i = 0; i < 30; i++) {
      const ws = await open(server, '40/slow,{"wait":150}');
      await sleep(i * 10);
      ws.ws.terminate();
    }
    await until(async () => {
      const { sessions, sockets, rooms } = await server.stats();
      return sessions + sockets + rooms === 0;
    }, "nothing left");
    await neighbour(server);
    await server.stop();
  });
});

describe("many at once", () => {
  it("400 broadcasts in a burst to 100 healthy clients lose nothing and keep order", async () => {
    const server = await fixture();
    const clients = await Promise.all(Array.from({ length: 100 }, async () => {
      const client = io4(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
      await next(client, "connect", 20_000);
      return { client, seen: collect(client, "news") };
    }));
    const [{ client }] = clients;
    for (let i = 0; i < 400; i++) client.emit("all-in", [], [], "news", i, "x".repeat(500), () => {});
    await until(() => clients.every(({ seen }) => seen.length >= 400), "all the news", 30_000);
    for (const { seen } of clients) assert.deepEqual(seen.map(([n]) => n), Array.from({ length: 400 }, (_, i) => i));
    clients.forEach(({ client }) => client.disconnect());
    await server.stop();
  });
});
