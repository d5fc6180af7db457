// The bundles of js/dist in headless Chromium, from a page of another origin and under a strict content security
// policy: every transport, binary of browsers, and what happens to pages: hidden, restored, offline, two of them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { fixture, until } from "../lib/fixture.mjs";

const dist = fileURLToPath(new URL("../../js/dist/", import.meta.url));

/** The origin of the pages: an empty page, another one, and the bundles. */
async function pages() {
  const server = createServer((request, response) => {
    const name = /^\/([\w.-]+\.js)$/.exec(request.url)?.[1];
    if (name) return response.writeHead(200, { "content-type": "application/javascript" }).end(readFileSync(dist + name));
    const policy = "default-src 'none'; script-src 'self'; connect-src http://127.0.0.1:* ws://127.0.0.1:*";
    response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy }).end("<!doctype html><title>page</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

describe("the browser client in Chromium", () => {
  let browser, origin, server, other;

  before(async () => {
    origin = await pages();
    server = await fixture("--cors", origin.url);
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      // Containers have no room for Chromium's sandbox and little in /dev/shm. The pages are our own.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
      // Pages shall be kept for the way back, as they are for people.
      ignoreDefaultArgs: ["--disable-back-forward-cache"],
    });
  });
  after(async () => {
    await browser?.close();
    await Promise.all([server?.stop(), other?.stop()]);
    origin?.close();
  });

  /** A page with a bundle as `lib`, and a list of what happened as `seen`. */
  async function open(t, bundle = "socket.io.esm.min.js", context) {
    const own = context ?? (await browser.newContext());
    if (!context) t.after(() => own.close());
    const page = await own.newPage();
    page.setDefaultTimeout(10_000);
    await page.goto(origin.url);
    await load(page, bundle);
    return page;
  }

  async function load(page, bundle) {
    if (bundle.includes("esm")) await page.evaluate(async (url) => void (window.lib = await import(url)), `/${bundle}`);
    else await page.addScriptTag({ url: `/${bundle}` }).then(() => page.evaluate(() => void (window.lib = window.io)));
    await page.evaluate((url) => {
      window.seen = [];
      window.start = (options, path = "/") => {
        const socket = lib.io(url + path, options);
        for (const name of ["connect", "disconnect", "connect_error"]) {
          socket.on(name, (about, more) => seen.push([name, about?.message ?? about, more?.description, about?.hint]));
        }
        return (window.socket = socket);
      };
    }, server.url);
  }

  const connected = (page, by) =>
    page.waitForFunction((by) => socket.connected && (!by || socket.io.engine.transport.name === by), by);

  const WAYS = {
    "polling by fetch": { options: () => start({ transports: ["polling"] }), by: "polling" },
    "polling by XMLHttpRequest": { options: () => start({ transports: [lib.XHR] }), by: "polling" },
    WebSocket: { options: () => start({ transports: ["websocket"] }), by: "websocket" },
    "the upgrade": { options: () => start({}), by: "websocket" },
    "the upgrade from XMLHttpRequest": { options: () => start({ transports: [lib.XHR, lib.WebSocket] }), by: "websocket" },
    "base64 over WebSocket": { options: () => start({ transports: ["websocket"], forceBase64: true }), by: "websocket" },
    "the classic bundle": { bundle: "socket.io.min.js", options: () => start({}), by: "websocket" },
    "the readable bundle": { bundle: "socket.io.js", options: () => start({}), by: "websocket" },
    "the bundle without polling": { bundle: "socket.io.websocket.esm.min.js", options: () => start({}), by: "websocket" },
    "the MessagePack bundle": { bundle: "socket.io.msgpack.min.js", options: () => start({}), by: "websocket", msgpack: true },
  };
  for (const [name, way] of Object.entries(WAYS)) {
    it(`${name}: text, and binary of every kind`, async (t) => {
      const page = await open(t, way.bundle);
      await page.evaluate(way.options);
      await connected(page, way.by);
      const got = await page.evaluate(async (blobs) => {
        const bytes = Uint8Array.from({ length: 70000 }, (_, at) => at % 251);
        const equal = (got, wanted) => got instanceof ArrayBuffer && got.byteLength === wanted.length && new Uint8Array(got).every((byte, at) => byte === wanted[at]);
        const data = { array: bytes, buffer: bytes.buffer, part: bytes.subarray(3, 9), ...(blobs ? { blob: new Blob(["blob ", bytes]), file: new File([bytes], "name.bin") } : {}) };
        const results = {};
        for (const key of Object.keys(data)) {
          const sent = new Uint8Array(await new Response(data[key]).arrayBuffer());
          results[key] = equal((await socket.emitWithAck("echo", { deep: [data[key]] })).deep[0], sent);
        }
        return { ...results, text: await socket.emitWithAck("echo", "héllo 😀 \u2028") };
      }, !way.msgpack);
      const wanted = { array: true, buffer: true, part: true, ...(way.msgpack ? {} : { blob: true, file: true }), text: "héllo 😀 \u2028" };
      assert.deepEqual(got, wanted);
      assert.deepEqual(await page.evaluate(() => seen.map(([name]) => name)), ["connect"]);
    });
  }

  it("received binary can be a Blob", async (t) => {
    const page = await open(t);
    for (const transports of [["polling"], ["websocket"]]) {
      await page.evaluate((transports) => void start({ transports, binaryType: "blob", forceNew: true }), transports);
      await connected(page);
      assert.equal(await page.evaluate(async () => {
        const blob = await socket.emitWithAck("echo", new Uint8Array([104, 105]));
        return blob instanceof Blob && blob.text();
      }), "hi");
    }
  });

  it("offline and online are noticed at once", async (t) => {
    const page = await open(t);
    // No attempt would come in time by itself.
    await page.evaluate(() => void start({ reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 }));
    await connected(page, "websocket");
    await page.context().setOffline(true);
    await page.waitForFunction(() => seen.length === 2);
    await page.evaluate(() => {
      socket.on("echo", (text) => seen.push(["echo", text]));
      socket.emit("echo", "written offline");
    });
    await page.context().setOffline(false);
    await page.waitForFunction(() => seen.length === 4);
    assert.deepEqual(JSON.parse(await page.evaluate(() => JSON.stringify(seen.map(([name, about, more]) => [name, about, more])))), [
      ["connect", null, null],
      ["disconnect", "transport close", "network connection lost"],
      ["connect", null, null],
      ["echo", "written offline", null],
    ]);
  });

  it("waking up: an overslept heartbeat is noticed at once", async (t) => {
    const page = await open(t);
    await page.evaluate(() => void start({ reconnectionDelay: 10 }));
    await connected(page, "websocket");
    await page.evaluate(() => {
      // The clock went on while the timers stood still.
      const { now } = Date;
      Date.now = () => now() + 3_600_000;
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    });
    await page.waitForFunction(() => seen.length === 3);
    assert.deepEqual(await page.evaluate(() => seen.map(([name, about]) => about ?? name)), ["connect", "ping timeout", "connect"]);
  });

  for (const transports of [["websocket"], ["polling"]]) {
    it(`a page that is left and come back to, ${transports}`, async (t) => {
      const page = await open(t);
      await page.evaluate((transports) => {
        window.restored = 0;
        addEventListener("pageshow", (event) => (restored += event.persisted));
        start({ transports, reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 });
      }, transports);
      await connected(page);
      const id = await page.evaluate(() => socket.id);
      await page.goto(`${origin.url}/elsewhere`);
      await until(async () => (await server.log?.())?.disconnects.some((each) => each.id === id), "the server's notice");
      await page.evaluate(() => void history.back());
      await page.waitForFunction(() => window.restored === 1);
      await page.waitForFunction(() => seen.length === 3);
      assert.deepEqual(await page.evaluate(() => seen.map(([name, about, more]) => more ?? about ?? name)), ["connect", "page hidden", "connect"]);
      assert.equal(await page.evaluate(() => socket.emitWithAck("echo", "back")), "back");
    });
  }

  it("closeOnBeforeunload: nobody on the page hears of the end", async (t) => {
    const page = await open(t);
    await page.evaluate(() => {
      start({ closeOnBeforeunload: true });
      socket.on("disconnect", () => localStorage.setItem("heard", "yes"));
    });
    await connected(page, "websocket");
    const id = await page.evaluate(() => socket.id);
    await page.goto(`${origin.url}/elsewhere`);
    await until(async () => (await server.log()).disconnects.some((each) => each.id === id && each.reason === "transport close"), "the server's notice");
    assert.equal(await page.evaluate(() => localStorage.getItem("heard")), null);
    // Who comes back to the page has a connection again.
    await page.evaluate(() => void history.back());
    await page.waitForFunction((id) => window.socket?.connected && socket.id !== id, id);
  });

  it("two tabs talk to each other, and one may go", async (t) => {
    const context = await browser.newContext();
    t.after(() => context.close());
    const [one, two] = [await open(t, undefined, context), await open(t, undefined, context)];
    for (const page of [one, two]) {
      await page.evaluate(() => {
        start({});
        socket.on("news", (text) => seen.push(["news", text]));
      });
      await connected(page, "websocket");
    }
    assert.notEqual(await one.evaluate(() => socket.id), await two.evaluate(() => socket.id));
    await one.evaluate(() => socket.emitWithAck("join", "tabs"));
    await two.evaluate(() => socket.emit("send-to", ["tabs"], "news", "from two", () => {}));
    await one.waitForFunction(() => seen.some(([name, text]) => name === "news" && text === "from two"));
    const id = await two.evaluate(() => socket.id);
    await two.close();
    await until(async () => (await server.log()).disconnects.some((each) => each.id === id), "the server's notice");
    assert.equal(await one.evaluate(() => socket.emitWithAck("echo", "still here")), "still here");
  });

  it("errors say what is probably wrong", async (t) => {
    other ??= await fixture();
    const page = await open(t);
    const hint = (options, url) =>
      page.evaluate(([options, url]) => new Promise((resolve) => {
        const socket = lib.io(url, { forceNew: true, reconnection: false, ...options });
        socket.on("connect_error", (err) => resolve(err.hint));
      }), [options, url]);
    assert.match(await hint({ transports: ["polling"] }, "http://127.0.0.1:1"), /is the server up/);
    assert.match(await hint({ transports: ["websocket"] }, "http://127.0.0.1:1"), /no WebSocket at ws:\/\/127\.0\.0\.1:1\//);
    // From a page with a name of its own, a server without CORS.
    await page.goto(origin.url.replace("127.0.0.1", "localhost"));
    await load(page, "socket.io.esm.min.js");
    assert.match(await hint({ transports: ["polling"] }, other.url), /does its CORS allow http:\/\/localhost:/);
  });
});
