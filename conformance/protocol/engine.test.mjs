// Engine.IO 4, request by request, on the bare echo mount: what the protocol's own suite asks of a server.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fixture, oursOnly, reference, sleep, until, withTimeout } from "../lib/fixture.mjs";
import { handshake, poll, post, socket as open } from "../lib/engine.mjs";

const PING_INTERVAL = 300;
const PING_TIMEOUT = 200;

let server, base;
before(async () => {
  server = await fixture("--ping-interval", `${PING_INTERVAL}`, "--ping-timeout", `${PING_TIMEOUT}`, "--cors", "http://example.org");
  base = `${server.url}/engine.io/`;
});
after(() => server?.stop());

describe("handshake", () => {
  it("over polling opens a session", async () => {
    const response = await fetch(`${base}?EIO=4&transport=polling`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/plain; charset=UTF-8");
    assert.equal(response.headers.get("cache-control"), "no-store");
    const body = await response.text();
    assert.equal(body[0], "0");
    const open = JSON.parse(body.slice(1));
    assert.deepEqual(Object.keys(open), ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]);
    assert.match(open.sid, /^[\w-]{20,}$/);
    assert.deepEqual({ ...open, sid: 0 }, { sid: 0, upgrades: ["websocket"], pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, maxPayload: 1_000_000 });
  });

  it("over WebSocket opens a session", async () => {
    const ws = await open(`${base}?EIO=4&transport=websocket`);
    const { upgrades, maxPayload } = JSON.parse((await ws.text()).slice(1));
    assert.deepEqual([upgrades, maxPayload], [[], 1_000_000]);
    ws.close();
  });

  for (const [name, query, method, code, message] of [
    ["no EIO", "transport=polling", "GET", 5, "Unsupported protocol version"],
    ["EIO=abc", "EIO=abc&transport=polling", "GET", 5, "Unsupported protocol version"],
    ["EIO=3", "EIO=3&transport=polling", "GET", 5, "Unsupported protocol version"],
    ["EIO twice, the last one wins", "EIO=4&EIO=3&transport=polling", "GET", 5, "Unsupported protocol version"],
    ["no transport", "EIO=4", "GET", 0, "Transport unknown"],
    ["transport=abc", "EIO=4&transport=abc", "GET", 0, "Transport unknown"],
    ["transport=webtransport", "EIO=4&transport=webtransport", "GET", 0, "Transport unknown"],
    ["transport=__proto__", "EIO=4&transport=__proto__", "GET", 0, "Transport unknown"],
    ["transport=constructor", "EIO=4&transport=constructor", "GET", 0, "Transport unknown"],
    ["transport twice", "EIO=4&transport=polling&transport=abc", "GET", 0, "Transport unknown"],
    ["unknown sid", "EIO=4&transport=polling&sid=abcdefghijklmnopqrst", "GET", 1, "Session ID unknown"],
    ["sid=__proto__", "EIO=4&transport=polling&sid=__proto__", "GET", 1, "Session ID unknown"],
    ["sid=hasOwnProperty", "EIO=4&transport=polling&sid=hasOwnProperty", "POST", 1, "Session ID unknown"],
    ["sid of 6 KB", `EIO=4&transport=polling&sid=${"x".repeat(6000)}`, "GET", 1, "Session ID unknown"],
    ["POST", "EIO=4&transport=polling", "POST", 2, "Bad handshake method"],
    ["PUT", "EIO=4&transport=polling", "PUT", 2, "Bad handshake method"],
    ["DELETE", "EIO=4&transport=polling", "DELETE", 2, "Bad handshake method"],
    ["websocket on a plain GET", "EIO=4&transport=websocket", "GET", 3, "Bad request"],
  ]) {
    it(`refuses: ${name}`, async () => {
      const response = await fetch(`${base}?${query}`, { method });
      assert.equal(response.status, 400);
      assert.match(response.headers.get("content-type"), /^application\/json/);
      assert.deepEqual(await response.json(), { code, message });
    });
  }

  it("refuses the same over WebSocket, before any 101", async () => {
    for (const [query, message] of [
      ["EIO=4&transport=abc", "Transport unknown"],
      ["transport=websocket", "Unsupported protocol version"],
      ["EIO=4&transport=websocket&sid=abcdefghijklmnopqrst", "Session ID unknown"],
    ]) {
      if (reference && query.startsWith("transport")) continue;
      const refusal = await open(`${base}?${query}`).then(() => assert.fail("opened"), (error) => error);
      assert.equal(refusal.status, 400, query);
      assert.ok(refusal.body.includes(message), refusal.body);
    }
  });

  it("tells browsers of the allowed origin only that they may read", async () => {
    const ask = async (origin) => (await fetch(`${base}?EIO=4&transport=polling`, { headers: { origin } })).headers;
    const allowed = await ask("http://example.org");
    assert.equal(allowed.get("access-control-allow-origin"), "http://example.org");
    assert.equal(allowed.get("access-control-allow-credentials"), "true");
    assert.match(allowed.get("vary"), /origin/i);
    // A fixed origin is answered with itself, whoever asks: the browser compares.
    const other = (await ask("http://evil.example.org")).get("access-control-allow-origin");
    assert.ok(other === null || other === "http://example.org", other);
    const preflight = await fetch(`${base}?EIO=4&transport=polling`, {
      method: "OPTIONS",
      headers: { origin: "http://example.org", "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
  });

  it("never gives an id twice", async () => {
    const ids = new Set();
    for (let i = 0; i < 100; i++) ids.add((await handshake(base)).sid);
    assert.equal(ids.size, 100);
    const prefixes = new Set([...ids].map((id) => id.slice(0, 4)));
    assert.ok(prefixes.size > 95, "an id starts with chance, not with a counter");
  });
});

describe("messages over polling", () => {
  for (const [name, sent, received] of [
    ["one text", "4hello", ["4hello"]],
    ["several texts", "4one\x1e4two\x1e4€ 😀", ["4one", "4two", "4€ 😀"]],
    ["text and binary", "4hello\x1ebAQIDBA==", ["4hello", "bAQIDBA=="]],
    ["binary without padding", "bAQIDBA", ["bAQIDBA=="]],
    ["an empty message", "4", ["4"]],
    ["a stray pong and a noop beside a message", "6\x1e4x", ["4x"]],
  ]) {
    it(name, async () => {
      const { sid } = await handshake(base);
      const response = await post(base, sid, sent);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), "ok");
      assert.equal(response.headers.get("content-type"), "text/html");
      const seen = [];
      while (seen.length < received.length) seen.push(...(await (await poll(base, sid)).text()).split("\x1e").filter((packet) => packet !== "2"));
      assert.deepEqual(seen, received);
    });
  }

  for (const [name, body] of [
    ["an unknown type", "abc"],
    ["a type beyond the last", "7"],
    ["a full-width digit", "\uff14x"],
    ["a negative type", "-1"],
    ["a byte order mark", "\ufeff4x"],
    ["an empty body", ""],
    ["an empty packet", "4a\x1e\x1e4b"],
    ["a ping from the client", "2"],
    ["base64 with foreign characters", "b!!!!"],
  ]) {
    // Where the protocol leaves room, we are strict.
    const strict = name.startsWith("base64") || name.startsWith("a byte");
    it(`closes after ${name}`, { skip: strict && oursOnly }, async () => {
      const { sid } = await handshake(base);
      const response = await post(base, sid, body);
      assert.ok([200, 400].includes(response.status), `${response.status}`);
      await until(async () => {
        const response = await poll(base, sid);
        return response.status === 400 && (await response.json()).code === 1;
      }, "an unknown session");
    });
  }

  it("closes after a second GET at once", async () => {
    const { sid } = await handshake(base);
    const first = poll(base, sid);
    await sleep(20);
    const second = await poll(base, sid);
    assert.equal(second.status, 400);
    const answer = await first;
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), "1");
    assert.equal((await poll(base, sid)).status, 400);
  });

  it("closes when the client says so, and frees the waiting poll", async () => {
    const { sid } = await handshake(base);
    const waiting = poll(base, sid);
    await sleep(20);
    assert.equal((await post(base, sid, "1")).status, 200);
    assert.equal(await (await waiting).text(), "6");
    assert.equal((await poll(base, sid)).status, 400);
  });

  it("refuses octet-stream, which Engine.IO 4 has no use for", async () => {
    const { sid } = await handshake(base);
    const response = await post(base, sid, "4x", { "content-type": "application/octet-stream" });
    assert.equal(response.status, 400);
    assert.equal((await poll(base, sid)).status, 400);
  });

  it("answers 413 to a body beyond the limit, announced or not", async () => {
    for (const body of ["4" + "x".repeat(1_000_000), new Blob(["4", "x".repeat(1_000_000)]).stream()]) {
      const { sid } = await handshake(base);
      const response = await fetch(`${base}?EIO=4&transport=polling&sid=${sid}`, { method: "POST", body, duplex: "half" });
      assert.equal(response.status, 413);
    }
    const { sid } = await handshake(base);
    assert.equal((await post(base, sid, "4" + "x".repeat(999_999))).status, 200);
  });

  it("refuses a session's id on another transport or protocol, and leaves it alone", async () => {
    const { sid } = await handshake(base);
    for (const query of [`EIO=4&transport=websocket&sid=${sid}`, `EIO=3&transport=polling&sid=${sid}`]) {
      const response = await fetch(`${base}?${query}`);
      assert.equal(response.status, 400);
      assert.equal((await response.json()).code, 3);
    }
    assert.equal((await post(base, sid, "4x")).status, 200);
  });

  it("packs long answers when asked to, and only then", async () => {
    const { sid } = await handshake(base);
    const text = "4" + "x".repeat(5000);
    await post(base, sid, text);
    const packed = await poll(base, sid, { "accept-encoding": "gzip" });
    assert.equal(packed.headers.get("content-encoding"), "gzip");
    assert.ok((await packed.text()).includes(text));
    await post(base, sid, text);
    const plain = await poll(base, sid, { "accept-encoding": "identity" });
    assert.equal(plain.headers.get("content-encoding"), null);
    assert.ok((await plain.text()).includes(text));
  });

  it("speaks JSONP to who asks for it", async () => {
    const first = await (await fetch(`${base}?EIO=4&transport=polling&j=3`)).text();
    const { sid } = JSON.parse(JSON.parse(/^___eio\[3\]\((.*)\);$/s.exec(first)[1]).slice(1));
    const form = await fetch(`${base}?EIO=4&transport=polling&j=3&sid=${sid}`, {
      method: "POST",
      body: new URLSearchParams({ d: "4\u2028 €" }),
    });
    assert.equal(await form.text(), "ok");
    let seen = "";
    while (!seen.includes("4")) seen = await (await fetch(`${base}?EIO=4&transport=polling&j=3&sid=${sid}`)).text();
    assert.ok(seen.includes("\\u2028"), seen);
    assert.match(JSON.parse(/^___eio\[3\]\((.*)\);$/s.exec(seen)[1]), /4\u2028 €/);
  });
});

describe("messages over WebSocket", () => {
  it("text and binary of every length class", async () => {
    const ws = await open(`${base}?EIO=4&transport=websocket`);
    await ws.text();
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 300_000]) {
      ws.send("4" + "x".repeat(length));
      assert.equal((await ws.message((data) => data !== "2")).length, length + 1);
      ws.send(Buffer.alloc(length, 7));
      assert.deepEqual(await ws.message((data) => data !== "2"), Buffer.alloc(length, 7));
    }
    ws.close();
  });

  for (const [name, data] of [["an unknown type", "abc"], ["an empty text", ""], ["a ping", "2"], ["a full-width digit", "\uff14x"]]) {
    it(`closes after ${name}`, async () => {
      const ws = await open(`${base}?EIO=4&transport=websocket`);
      await ws.text();
      ws.send(data);
      await ws.closed();
    });
  }

  it("closes after a close packet", { skip: oursOnly }, async () => {
    const ws = await open(`${base}?EIO=4&transport=websocket`);
    await ws.text();
    ws.send("1");
    await ws.closed();
  });
});

describe("heartbeat", () => {
  it("over polling and WebSocket: a ping in time, and the end of who does not answer", async () => {
    const { sid } = await handshake(base);
    const start = Date.now();
    assert.equal(await (await poll(base, sid)).text(), "2");
    assert.ok(Math.abs(Date.now() - start - PING_INTERVAL) < 150, `${Date.now() - start} ms`);
    await sleep(PING_TIMEOUT + 150);
    assert.equal((await poll(base, sid)).status, 400);

    const ws = await open(`${base}?EIO=4&transport=websocket`);
    await ws.text();
    for (let i = 0; i < 3; i++) {
      assert.equal(await ws.text(), "2");
      ws.send("3");
    }
    assert.equal(await ws.text(), "2");
    const silent = Date.now();
    await ws.closed();
    assert.ok(Date.now() - silent < PING_TIMEOUT + 300, `${Date.now() - silent} ms`);
  });

  it("a flood of pongs shortens nothing and lengthens nothing", async () => {
    const ws = await open(`${base}?EIO=4&transport=websocket`);
    await ws.text();
    for (let i = 0; i < 2000; i++) ws.send("3");
    assert.equal(await ws.text(), "2");
    await ws.closed();
  });
});

describe("upgrade", () => {
  /** A polling session, and a WebSocket that wants to take it over. */
  async function pair() {
    const { sid } = await handshake(base);
    return { sid, ws: await open(`${base}?EIO=4&transport=websocket&sid=${sid}`) };
  }

  it("goes over to WebSocket and loses nothing", async () => {
    const { sid, ws } = await pair();
    ws.send("2probe");
    assert.equal(await ws.text(), "3probe");
    const waiting = poll(base, sid);
    assert.match(await (await waiting).text(), /^(6|2)$/, "a waiting poll is freed");
    await post(base, sid, "4queued");
    ws.send("5");
    ws.send("4direct");
    assert.equal(await ws.message((data) => data !== "2"), "4queued");
    assert.equal(await ws.message((data) => data !== "2"), "4direct");
    const old = await poll(base, sid);
    assert.equal(old.status, 400);
    assert.equal((await old.json()).code, 3);
    ws.close();
  });

  it("keeps the old transport when the probe goes wrong", async () => {
    for (const first of ["4x", "2", "2prob", "3probe", Buffer.from([1])]) {
      const { sid, ws } = await pair();
      ws.send(first);
      await ws.closed();
      assert.equal((await post(base, sid, "4still")).status, 200, `${first}`);
      assert.match(await (await poll(base, sid)).text(), /4still/);
    }
  });

  it("refuses a second upgrade and leaves the first alone", async () => {
    const { sid, ws } = await pair();
    const second = await open(`${base}?EIO=4&transport=websocket&sid=${sid}`).catch((error) => error);
    if (second.closed) await second.closed();
    ws.send("2probe");
    assert.equal(await ws.text(), "3probe");
    ws.send("5");
    const third = await open(`${base}?EIO=4&transport=websocket&sid=${sid}`).catch((error) => error);
    if (third.closed) await third.closed();
    ws.send("4x");
    assert.equal(await ws.message((data) => data !== "2"), "4x");
    ws.close();
  });

  it("gives up a probe that is never finished", async () => {
    const own = await fixture("--upgrade-timeout", "200");
    const { sid } = await handshake(`${own.url}/engine.io/`);
    const ws = await open(`${own.url}/engine.io/?EIO=4&transport=websocket&sid=${sid}`);
    ws.send("2probe");
    await ws.text();
    await withTimeout(ws.closed(), 2000, "the end of the probe");
    assert.equal((await post(`${own.url}/engine.io/`, sid, "4x")).status, 200);
    await own.stop();
  });
});

describe("paths", () => {
  it("are matched whole", { skip: oursOnly }, async () => {
    for (const path of ["/engine.io/x/", "/engine.io//", "/engine.iox/", "/engine.io/../engine.io/x", "/x/engine.io/", "/engine.io%2f", "/engine.io/;x"]) {
      const response = await fetch(`${server.url}${path}?EIO=4&transport=polling`);
      assert.equal(response.status, 404, path);
    }
  });
});
