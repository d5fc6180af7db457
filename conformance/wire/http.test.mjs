// Hostile requests and handshakes (threats A), on raw TCP. Each ends with another client that notices nothing.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fixture, oursOnly, reference, sleep, until, withTimeout } from "../lib/fixture.mjs";
import { handshake, poll, post, socket } from "../lib/engine.mjs";
import { connect, frame, upgradeRequest } from "../lib/raw.mjs";

const PATH = "/engine.io/?EIO=4&transport=websocket";
const POLL = "/engine.io/?EIO=4&transport=polling";

let server;
before(async () => { server = await fixture("--max-payload", "100000", "--deflate"); });
after(async () => { if (server) assert.equal(await server.stop(), 0, "the server lived to the end"); });

const sessions = async () => (await server.stats()).sessions;
/** Waits until there are no more sessions than there were. */
const gone = (alive) => until(async () => (await sessions()) <= alive, "the end of the sessions");

/** Another client gets its echo, at once. */
async function neighbour() {
  const start = Date.now();
  const ws = await socket(`${server.url}${PATH}`);
  await ws.text();
  ws.send("4still here");
  assert.equal(await ws.message((data) => data !== "2"), "4still here");
  ws.close();
  assert.ok(Date.now() - start < 1000, "a neighbour waits no longer than usual");
}

async function answer(bytes) {
  const raw = connect(server.port);
  await raw.write(bytes);
  const response = await raw.response();
  raw.destroy();
  return response;
}

const get = (head) => Buffer.from(`GET ${POLL} HTTP/1.1\r\n${head}\r\n\r\n`, "latin1");
const HOST = "Host: 127.0.0.1";

// name, bytes, the statuses that are right (0: closed without an answer), whether it is asked of ours only
const REQUESTS = [
  ["hs.fine", upgradeRequest(PATH), [101]],
  ["hs.lower-case", Buffer.from(upgradeRequest(PATH).toString().replaceAll("Upgrade", "upgrade").replace("Sec-WebSocket-Key", "sec-websocket-key")), [101]],
  ["hs.connection-list", upgradeRequest(PATH, { Connection: "keep-alive, Upgrade" }), [101]],
  ["hs.many-headers", upgradeRequest(PATH, {}, { extra: Array.from({ length: 3000 }, (_, i) => `X${i}: ${i}`) }), [400, 431, 0], true],
  ["hs.header-400k", upgradeRequest(PATH, { "X-Long": "x".repeat(400_000) }), [400, 431, 0]],
  ["hs.header-20k", upgradeRequest(PATH, { "X-Long": "x".repeat(20_000) }), [400, 431, 0]],
  ["hs.target-20k", upgradeRequest(`${PATH}&x=${"y".repeat(20_000)}`), [400, 414, 431, 0]],
  ["hs.nul-in-value", upgradeRequest(PATH, { "X-Nul": "a\0b" }), [400, 0]],
  ["hs.bare-cr-in-value", upgradeRequest(PATH, { "X-Cr": "a\rb" }), [400, 0]],
  ["hs.space-before-colon", upgradeRequest(PATH, {}, { extra: ["X-Space : 1"] }), [400, 0]],
  ["hs.space-in-name", upgradeRequest(PATH, {}, { extra: ["X Space: 1"] }), [400, 0]],
  ["hs.no-colon", upgradeRequest(PATH, {}, { extra: ["nonsense"] }), [400, 0]],
  ["hs.obs-fold", upgradeRequest(PATH, {}, { extra: ["X-Fold: a", " b"] }), [400, 0]],
  ["hs.no-host", upgradeRequest(PATH, { Host: null }), [400, 0], true],
  ["hs.two-hosts", upgradeRequest(PATH, {}, { extra: ["Host: other"] }), [400, 0], true],
  ["hs.http10", upgradeRequest(PATH, {}, { version: "HTTP/1.0" }), [400, 426, 505, 0], true],
  ["hs.http2-version", upgradeRequest(PATH, {}, { version: "HTTP/2.0" }), [400, 505, 0], true],
  ["hs.http09", Buffer.from("GET /\r\n\r\n"), [400, 404, 505, 0]],
  ["hs.not-http", Buffer.from("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "latin1"), [400, 0]],
  ["hs.post", upgradeRequest(PATH, {}, { method: "POST" }), [400, 405]],
  ["hs.cl-and-te", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), [400, 0]],
  ["hs.two-content-lengths", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`), [400, 0]],
  ["hs.content-length-plus", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nContent-Length: +3\r\n\r\nabc`), [400, 0]],
  ["hs.content-length-huge", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nContent-Length: 99999999999999999999\r\n\r\nabc`), [400, 413, 0]],
  ["hs.content-length-negative", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nContent-Length: -1\r\n\r\nabc`), [400, 0]],
  ["hs.chunk-size-huge", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc`), [400, 0]],
  ["hs.te-twice", Buffer.from(`POST ${POLL}&sid=x HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`), [400, 501, 0]],
  ["hs.no-key", upgradeRequest(PATH, { "Sec-WebSocket-Key": null }), [400]],
  ["hs.empty-key", upgradeRequest(PATH, { "Sec-WebSocket-Key": "" }), [400]],
  ["hs.short-key", upgradeRequest(PATH, { "Sec-WebSocket-Key": "AAAA" }), [400]],
  ["hs.long-key", upgradeRequest(PATH, { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQAA" }), [400]],
  ["hs.not-base64-key", upgradeRequest(PATH, { "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }), [400]],
  ["hs.two-keys", upgradeRequest(PATH, {}, { extra: ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="] }), [400]],
  ["hs.version-none", upgradeRequest(PATH, { "Sec-WebSocket-Version": null }), [400, 426]],
  ["hs.version-7", upgradeRequest(PATH, { "Sec-WebSocket-Version": "7" }), [400, 426]],
  ["hs.version-14", upgradeRequest(PATH, { "Sec-WebSocket-Version": "14" }), [400, 426]],
  ["hs.version-x", upgradeRequest(PATH, { "Sec-WebSocket-Version": "x" }), [400, 426]],
  ["hs.upgrade-h2c", upgradeRequest(PATH, { Upgrade: "h2c" }), [400, 426], true],
  ["hs.connection-close", upgradeRequest(PATH, { Connection: "close" }), [400, 426]],
  ["hs.ext-prototype", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": "constructor, __proto__; toString=1" }), [101, 400]],
  ["hs.ext-garbage", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": ';;;,,,="' }), [101, 400]],
  ["hs.ext-unterminated", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": 'permessage-deflate; client_max_window_bits="' }), [101, 400]],
  ["hs.regex-slow", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": `a${" ".repeat(6000)}${",".repeat(6000)}b` }), [101, 400]],
  ["hs.subprotocol-bytes", upgradeRequest(PATH, { "Sec-WebSocket-Protocol": "\xff\xfe\x80" }), [101, 400]],
  ["hs.subprotocol-list", upgradeRequest(PATH, { "Sec-WebSocket-Protocol": ",,, ,a" }), [101, 400]],
  ["pmd.bad-offer-window", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=7" }), [101], true],
  ["pmd.bad-offer-unknown", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": "permessage-deflate; unknown" }), [101], true],
  ["pmd.bad-offer-twice", upgradeRequest(PATH, { "Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover; client_no_context_takeover" }), [101], true],
  ["eio.sid-nul", get(HOST).toString().replace("transport=polling", "transport=polling&sid=%00%0d%0a"), [400]],
  ["eio.query-bad-percent", get(HOST).toString().replace("transport=polling", "transport=polling&x=%zz%"), [200, 400]],
  ["eio.query-bad-utf8", get(HOST).toString().replace("transport=polling", "transport=polling&x=%ff%fe"), [200, 400]],
  ["eio.query-many", get(HOST).toString().replace("transport=polling", `transport=polling${"&a=b".repeat(2000)}`), [200, 400, 414]],
  ["eio.absolute-form", Buffer.from(get(HOST).toString().replace("GET /", "GET http://127.0.0.1/")), [200, 400, 404]],
  ["eio.asterisk-form", Buffer.from(`OPTIONS * HTTP/1.1\r\n${HOST}\r\n\r\n`), [200, 204, 400, 404, 405]],
  ["eio.head", Buffer.from(`HEAD ${POLL} HTTP/1.1\r\n${HOST}\r\n\r\n`), [400, 405]],
  ["eio.connect", Buffer.from(`CONNECT 127.0.0.1:80 HTTP/1.1\r\n${HOST}\r\n\r\n`), [400, 404, 405, 0]],
];

describe("requests", () => {
  for (const [name, bytes, statuses, ours] of REQUESTS) {
    it(name, { skip: ours && oursOnly }, async () => {
      const start = Date.now();
      const { status, body } = await answer(bytes);
      assert.ok(statuses.includes(status), `${status}: ${body.slice(0, 200)}`);
      assert.ok(Date.now() - start < 1000, "decided at once");
      await neighbour();
    });
  }

  it("a refused version names ours", async () => {
    const { headers } = await answer(upgradeRequest(PATH, { "Sec-WebSocket-Version": "99" }));
    assert.match(headers["sec-websocket-version"], /\b13\b/);
  });

  it("a deflate offer that cannot be taken leaves room for the next", { skip: oursOnly }, async () => {
    const { headers } = await answer(upgradeRequest(PATH, { "Sec-WebSocket-Extensions": "permessage-deflate; unknown, permessage-deflate; client_max_window_bits" }));
    assert.match(headers["sec-websocket-extensions"], /^permessage-deflate/);
  });

  it("errors repeat nothing of the request", async () => {
    const { body } = await answer(get(HOST).toString().replace("transport=polling", "transport=canary%3Cb%3E"));
    assert.ok(!body.includes("canary"), body);
  });
});

describe("timing", () => {
  it("frames sent before the 101 are not lost", { skip: oursOnly }, async () => {
    const raw = connect(server.port);
    await raw.write(Buffer.concat([upgradeRequest(PATH), frame(1, "4early")]));
    await until(() => raw.frames().some((one) => one.payload.toString() === "4early") || raw.ended, "the early frame's echo");
    const { status } = await raw.response();
    // Refusing is fine too; losing them silently is not.
    if (status === 101) assert.ok(raw.frames().some((one) => one.payload.toString() === "4early"));
    raw.destroy();
    await neighbour();
  });

  it("a bad frame before the 101 ends the connection", async () => {
    const raw = connect(server.port);
    await raw.write(Buffer.concat([upgradeRequest(PATH), Buffer.from([0xff, 0xff, 0xff, 0xff])]));
    await raw.end();
    await neighbour();
  });

  it("a reset at any byte of the handshake leaves nothing behind", async () => {
    const alive = await sessions();
    const bytes = upgradeRequest(PATH);
    for (let at = 0; at <= bytes.length; at += 7) {
      const raw = connect(server.port);
      await raw.write(bytes.subarray(0, at));
      raw.reset();
    }
    for (let i = 0; i < 20; i++) {
      const raw = connect(server.port);
      await raw.write(bytes);
      raw.reset();
    }
    await sleep(50);
    await neighbour();
    await gone(alive);
  });

  it("the handshake may come byte by byte", async () => {
    const raw = connect(server.port);
    for (const byte of upgradeRequest(PATH)) await raw.write(Buffer.from([byte]));
    assert.equal((await raw.response()).status, 101);
    raw.destroy();
  });

  it("a head that never ends is cut at its deadline", { skip: oursOnly }, async () => {
    const slow = Array.from({ length: 20 }, () => connect(server.port));
    const start = Date.now();
    const drip = setInterval(() => slow.forEach((raw) => raw.ended || raw.socket.write("G")), 1000);
    await Promise.all(slow.map((raw) => raw.write("GET / HTTP/1.1\r\nX: ")));
    await neighbour();
    await until(() => slow.every((raw) => raw.ended), "the deadline", 15_000).finally(() => clearInterval(drip));
    assert.ok(Date.now() - start > 5000, "not at once: an honest head may be slow");
  });

  it("pipelined requests are answered one by one", async () => {
    const raw = connect(server.port);
    const one = get(HOST);
    await raw.write(Buffer.concat([one, one, Buffer.from(get(`${HOST}\r\nConnection: close`))]));
    await raw.end();
    assert.equal(raw.received.toString().match(/HTTP\/1\.1 200/g).length, 3);
  });
});

describe("bodies", () => {
  const base = () => `${server.url}/engine.io/`;

  it("octet-stream posts leave no socket behind", async () => {
    const alive = await sessions();
    for (let i = 0; i < 200; i++) {
      const { sid } = await handshake(base());
      assert.equal((await post(base(), sid, "x", { "content-type": "application/octet-stream" })).status, 400);
    }
    await gone(alive);
    await neighbour();
  });

  it("an endless chunked body is refused at the limit", async () => {
    const { sid } = await handshake(base());
    const raw = connect(server.port);
    await raw.write(`POST ${POLL}&sid=${sid} HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const chunk = `2710\r\n${"x".repeat(10_000)}\r\n`;
    let sent = 0;
    while (!raw.ended && !raw.received.length && sent < 5e6) {
      await Promise.race([raw.write(chunk), sleep(100)]);
      sent += 10_000;
      await new Promise(setImmediate);
    }
    assert.ok(sent < 3e6, `${sent} bytes were taken`);
    assert.ok([413, 0].includes((await raw.response()).status));
    raw.destroy();
    await neighbour();
  });

  it("a body that stops half-way ends its session, and only that", async () => {
    const { sid } = await handshake(base());
    const raw = connect(server.port);
    await raw.write(`POST ${POLL}&sid=${sid} HTTP/1.1\r\n${HOST}\r\nContent-Length: 100\r\n\r\n4half`);
    await sleep(50);
    raw.reset();
    await until(async () => (await poll(base(), sid)).status === 400, "the end of the session");
    await neighbour();
  });

  it("a poll that is dropped ends its session", async () => {
    const { sid } = await handshake(base());
    const raw = connect(server.port);
    await raw.write(`GET ${POLL}&sid=${sid} HTTP/1.1\r\n${HOST}\r\n\r\n`);
    await sleep(50);
    raw.reset();
    await until(async () => (await poll(base(), sid)).status === 400, "the end of the session");
    await neighbour();
  });

  it("two posts at once end their session", async () => {
    const { sid } = await handshake(base());
    const raw = connect(server.port);
    await raw.write(`POST ${POLL}&sid=${sid} HTTP/1.1\r\n${HOST}\r\nContent-Length: 100\r\n\r\n4half`);
    await sleep(50);
    assert.equal((await post(base(), sid, "4x")).status, 400);
    await until(async () => (await poll(base(), sid)).status === 400, "the end of the session");
    raw.destroy();
    await neighbour();
  });

  it("unusual methods leave a session alone", async () => {
    const { sid } = await handshake(base());
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const { status } = await fetch(`${base()}?EIO=4&transport=polling&sid=${sid}`, { method });
      assert.ok([400, 405].includes(status) || (reference && status === 500), `${method} ${status}`);
    }
    assert.equal((await post(base(), sid, "4x")).status, 200);
  });

  it("a body packed with packets does not hold up others", async () => {
    const own = await fixture();
    const { sid } = await handshake(`${own.url}/engine.io/`);
    const ws = await socket(`${own.url}${PATH}`);
    await ws.text();
    let slowest = 0;
    let run = true;
    const probe = (async () => {
      while (run) {
        const start = performance.now();
        ws.send("4x");
        await ws.message((data) => data === "4x");
        slowest = Math.max(slowest, performance.now() - start);
      }
    })();
    // 500,000 noops: nothing to answer, much to decode.
    const response = await withTimeout(post(`${own.url}/engine.io/`, sid, Array(500_000).fill("6").join("\x1e")), 5000, "the post");
    assert.ok([200, 400].includes(response.status));
    run = false;
    await probe;
    assert.ok(slowest < (reference ? 2000 : 250), `another client waited ${slowest.toFixed(0)} ms`);
    ws.close();
    await own.stop();
  });
});
