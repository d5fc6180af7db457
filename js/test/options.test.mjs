// The options of the connection that no other file here has a case for, each by what a server sees or a client does.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Server } from "socket.io";
import { Fetch, io, Manager, next, within } from "./fixture.mjs";
import * as lib from "../dist/socket.io.node.mjs";

/** npm socket.io in this process, so that a test sees each request; `look` may answer one by itself. */
async function listen(t, look = () => {}, options = {}, http = createServer()) {
  const requests = [];
  const server = new Server(http, { serveClient: false, ...options });
  server.engine.on("initial_headers", (headers, request) => requests.push(request) && look(headers, request));
  http.prependListener("request", (request) => requests.push(request));
  http.prependListener("upgrade", (request) => requests.push(request));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => server.close());
  server.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
  return { server, requests, port: http.address().port, url: `http://127.0.0.1:${http.address().port}` };
}

function connect(t, url, options) {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  t.after(() => socket.disconnect());
  return socket;
}

test("hostname, port, secure, path, addTrailingSlash", async (t) => {
  const host = await listen(t, undefined, { path: "/here", addTrailingSlash: false });
  const manager = new Manager({ hostname: "127.0.0.1", port: host.port, secure: false, path: "/here/", addTrailingSlash: false, reconnection: false });
  const socket = manager.socket("/");
  t.after(() => socket.disconnect());
  await next(socket, "connect");
  assert.match(host.requests[0].url, /^\/here\?EIO=4&transport=polling/);
});

test("query: as an object and from the address", async (t) => {
  const host = await listen(t);
  for (const [address, options] of [[host.url, { query: { colour: "réd" } }], [`${host.url}/?colour=r%C3%A9d`, {}]]) {
    host.requests.length = 0;
    const socket = connect(t, address, options);
    await next(socket, "connect");
    for (const { url } of host.requests) assert.ok(url.includes("colour=r%C3%A9d"), url);
  }
});

test("transports as classes, and transportImplementations", async (t) => {
  const host = await listen(t);
  for (const options of [{ transports: [Fetch] }, { transportImplementations: [lib.NodeWebSocket] }, { transportImplementations: [lib.NodeXHR] }]) {
    const socket = connect(t, host.url, options);
    await next(socket, "connect");
    const [Class] = Object.values(options)[0];
    assert.ok(socket.io.engine.transport instanceof Class);
  }
  assert.throws(() => io(host.url, { forceNew: true, transports: ["polling"], transportImplementations: [Fetch] }), /both/);
});

test("transportOptions concern one transport", async (t) => {
  const host = await listen(t);
  const socket = connect(t, host.url, { transportOptions: { polling: { extraHeaders: { "x-only": "polling" } } } });
  await next(socket.io.engine, "upgrade");
  const [polls, sockets] = [false, true].map((upgrade) => host.requests.filter((each) => !!each.headers.upgrade === upgrade));
  assert.ok(polls.length > 0 && polls.every((each) => each.headers["x-only"] === "polling"));
  assert.ok(sockets.length > 0 && sockets.every((each) => each.headers["x-only"] === undefined));
});

test("timestampRequests and timestampParam", async (t) => {
  const host = await listen(t);
  for (const [transport, timestampRequests, expected] of [
    ["polling", undefined, true], ["polling", true, true], ["polling", false, false],
    ["websocket", undefined, false], ["websocket", true, true], ["websocket", false, false],
  ]) {
    host.requests.length = 0;
    const socket = connect(t, host.url, { transports: [transport], timestampRequests, timestampParam: "stamp" });
    await next(socket, "connect");
    const stamps = host.requests.map(({ url }) => new URL(url, host.url).searchParams.get("stamp"));
    assert.equal(stamps.every(Boolean), expected, `${transport} ${timestampRequests}`);
    if (expected && transport === "polling") assert.ok(new Set(stamps).size > 1, "each its own");
  }
});

test("requestTimeout", async (t) => {
  const http = createServer(() => {}).listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => (http.closeAllConnections(), http.close()));
  for (const transports of [["polling"], [Fetch]]) {
    const socket = connect(t, `http://127.0.0.1:${http.address().port}`, { transports, requestTimeout: 30 });
    const [err] = await next(socket, "connect_error", 3000);
    assert.equal(err.message, "xhr poll error");
    assert.equal(err.type, "TransportError");
    assert.ok(err.cause instanceof Error);
  }
});

test("protocols of the WebSocket, and origin", async (t) => {
  const host = await listen(t);
  const socket = connect(t, host.url, { transports: ["websocket"], protocols: ["one", "two"], origin: "https://example.org" });
  await next(socket, "connect");
  assert.equal(host.requests[0].headers["sec-websocket-protocol"], "one,two");
  assert.equal(host.requests[0].headers.origin, "https://example.org");
});

test("withCredentials: cookies come back, also with the WebSocket, until they are too old", async (t) => {
  const host = await listen(t, (headers) => {
    headers["set-cookie"] = ["sid=1; Path=/; HttpOnly", "old=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "short=1; Max-Age=0", "balance=a=b; Max-Age=60"];
  });
  const socket = connect(t, host.url, { withCredentials: true, extraHeaders: { Cookie: "own=1" } });
  await next(socket.io.engine, "upgrade");
  const cookies = host.requests.map((each) => [each.method, !!each.headers.upgrade, each.headers.cookie]);
  assert.equal(cookies[0][2], "own=1");
  const upgrade = cookies.find(([, upgrade]) => upgrade);
  assert.equal(upgrade[2], "own=1; sid=1; balance=a=b");
  assert.ok(cookies.slice(2).every(([, , cookie]) => cookie === "own=1; sid=1; balance=a=b"), JSON.stringify(cookies));

  host.requests.length = 0;
  const without = connect(t, host.url, {});
  await next(without.io.engine, "upgrade");
  assert.ok(host.requests.every((each) => each.headers.cookie === undefined));
});

test("agent and localAddress", async (t) => {
  const host = await listen(t);
  const agent = new Agent();
  t.after(() => agent.destroy());
  let made = 0;
  const { createConnection } = agent;
  agent.createConnection = function (...args) {
    made++;
    return createConnection.apply(this, args);
  };
  for (const transports of [["polling"], ["websocket"]]) {
    made = 0;
    const socket = connect(t, host.url, { transports, agent, localAddress: "127.0.0.1", family: 4 });
    await next(socket, "connect");
    assert.ok(made > 0, transports[0]);
  }
});

test("ca, rejectUnauthorized, checkServerIdentity", { skip: spawnSync("openssl", ["version"]).status !== 0 && "no openssl to make a certificate" }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sockeye-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "ignore" });
  const host = await listen(t, undefined, {}, createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }));
  const url = host.url.replace("http", "https");
  for (const transports of [["polling"], ["websocket"]]) {
    const refused = connect(t, url, { transports });
    await next(refused, "connect_error");
    for (const options of [
      { ca: readFileSync(cert) },
      { rejectUnauthorized: false },
      { ca: readFileSync(cert), checkServerIdentity: () => undefined },
    ]) {
      const socket = connect(t, url, { transports, ...options });
      await next(socket, "connect");
      assert.equal(await socket.emitWithAck("echo", "over TLS"), "over TLS");
    }
    const wrong = connect(t, url, { transports, agent: false, ca: readFileSync(cert), checkServerIdentity: () => new Error("not the one") });
    await next(wrong, "connect_error");
  }
});

test("maxPayload bounds what a WebSocket may bring", async (t) => {
  const host = await listen(t);
  const socket = connect(t, host.url, { transports: ["websocket"], maxPayload: 1000 });
  await next(socket, "connect");
  assert.equal((await socket.emitWithAck("echo", "x".repeat(500))).length, 500);
  const lost = next(socket, "disconnect");
  socket.emit("echo", "x".repeat(2000), () => {});
  const [reason, { description }] = await lost;
  assert.equal(reason, "transport error");
  assert.match(description.message, /maxPayload/);
});

test("binaryType", async (t) => {
  const host = await listen(t);
  for (const transports of [["polling"], ["websocket"]]) {
    for (const [binaryType, Class] of [[undefined, Buffer], ["arraybuffer", ArrayBuffer], ["blob", Blob]]) {
      const socket = connect(t, host.url, { transports, ...(binaryType ? { binaryType } : {}) });
      await next(socket, "connect");
      assert.ok((await socket.emitWithAck("echo", Buffer.from("x"))) instanceof Class, `${transports} ${binaryType}`);
    }
  }
});

test("autoUnref: an open connection does not keep Node running", async (t) => {
  const host = await listen(t);
  for (const transport of ["polling", "websocket"]) {
    const program = `
      import { io } from ${JSON.stringify(fileURLToPath(new URL("../dist/socket.io.node.mjs", import.meta.url)))};
      const socket = io(${JSON.stringify(host.url)}, { autoUnref: true, transports: [${JSON.stringify(transport)}] });
      const keep = setTimeout(() => {}, 10000);
      socket.on("connect", () => { console.log("connected"); clearTimeout(keep); });`;
    const { spawn } = await import("node:child_process");
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (part) => (output += part));
    const [code] = await within(8000, `the end of the process, ${transport}`, once(child, "exit"));
    assert.deepEqual([code, output.trim()], [0, "connected"]);
  }
});

test("useNativeTimers: who replaces the timers does not stop the heartbeat", async (t) => {
  const program = `
    import { Manager, Transport } from ${JSON.stringify(fileURLToPath(new URL("../dist/socket.io.node.mjs", import.meta.url)))};
    class Silent extends Transport {
      get name() { return "silent"; }
      async doOpen() { await 0; this.onOpen(); this.onPacket({ type: "open", data: '{"sid":"S","upgrades":[],"pingInterval":20,"pingTimeout":20}' }); }
      doClose() {}
      write() {}
    }
    const real = setTimeout;
    for (const useNativeTimers of [true, false]) {
      globalThis.setTimeout = () => 0;
      const manager = new Manager("http://localhost", { transports: [Silent], reconnection: false, useNativeTimers, timeout: false });
      let reason = "none";
      manager.on("close", (why) => (reason = why));
      await new Promise((resolve) => real(resolve, 120));
      console.log(useNativeTimers, reason);
    }
    process.exit(0);`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.deepEqual(stdout.trim().split("\n"), ["true ping timeout", "false none"]);
});

test("errors tell what is probably wrong", async (t) => {
  const host = await listen(t, undefined, { transports: ["polling"] });
  const hint = async (url, options) => (await next(connect(t, url, { transports: ["polling"], ...options }), "connect_error"))[0].hint;
  assert.match(await hint("http://127.0.0.1:1"), /is the server up/);
  const old = createServer((request, response) => response.writeHead(400).end('{"code":5,"message":"Unsupported protocol version"}')).listen(0);
  const none = createServer((request, response) => response.writeHead(404).end()).listen(0);
  const proxy = createServer((request, response) => response.writeHead(503).end("<html>")).listen(0);
  t.after(() => [old, none, proxy].forEach((each) => (each.closeAllConnections(), each.close())));
  const url = (server) => `http://127.0.0.1:${server.address().port}`;
  assert.match(await hint(url(old)), /another version of the protocol/);
  assert.match(await hint(url(none)), /`path`/);
  assert.match(await hint(url(proxy)), /proxy/);
  const socket = connect(t, url(none), { transports: ["websocket"] });
  assert.match((await next(socket, "connect_error"))[0].hint, /^no WebSocket at ws:/);
});
