// The `sockeye` program as people start it: what it says, how it refuses, how it ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { io } from "client4";
import { next, sleep, start, until, withTimeout } from "../lib/fixture.mjs";

const SOCKEYE = process.env.SOCKEYE;
const port = (line) => /Socket\.IO\s+https?:\/\/[^/]*:(\d+)\//.exec(line)?.[1];
const serve = (...flags) => start([SOCKEYE, ...flags], port);

/** Runs it to its end: `{code, out, err}`. */
async function run(flags, environment = {}) {
  const child = spawn(SOCKEYE, flags, { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { err += data; });
  try {
    const [code] = await withTimeout(once(child, "close"), 5000, `the end of sockeye ${flags.join(" ")}`);
    return { code, out, err };
  } finally {
    child.kill("SIGKILL");
  }
}

describe("the sockeye program", { skip: !SOCKEYE && "no sockeye binary given" }, () => {
  it("serves the page, the client, and its health", async () => {
    const server = await serve("--port", "0");
    for (const [path, type] of [["/", "text/html"], ["/chat.js", "javascript"], ["/socket.io/socket.io.min.js", "javascript"], ["/healthz", "text/plain"], ["/readyz", "text/plain"]]) {
      const response = await fetch(server.url + path);
      assert.equal(response.status, 200, path);
      assert.ok(response.headers.get("content-type").includes(type), path);
      assert.ok((await response.text()).length > 0);
    }
    assert.equal((await fetch(`${server.url}/nowhere`)).status, 404);
    assert.match((await fetch(`${server.url}/`)).headers.get("content-security-policy"), /default-src 'none'/);
    const socket = io(server.url, { forceNew: true });
    await next(socket, "connect");
    socket.disconnect();
    server.signal("SIGTERM");
    assert.equal((await withTimeout(server.exited, 5000, "its end"))[0], 0);
  });

  for (const signal of ["SIGINT", "SIGTERM"]) {
    it(`ends in order after ${signal}, and its clients are told`, async () => {
      const server = await serve("--port", "0");
      for (const transports of [["websocket"], ["polling"]]) {
        const socket = io(server.url, { forceNew: true, reconnection: false, transports });
        await next(socket, "connect");
        socket.left = next(socket, "disconnect", 10_000);
        (server.clients ??= []).push(socket);
      }
      const started = Date.now();
      server.signal(signal);
      for (const socket of server.clients) assert.equal((await socket.left)[0], "transport close");
      assert.equal((await withTimeout(server.exited, 12_000, "its end"))[0], 0);
      assert.ok(Date.now() - started < 9000, `${Date.now() - started} ms: nobody needed the deadline`);
    });
  }

  it("ends at once after a second signal", async () => {
    const server = await serve("--port", "0", "--drain-timeout", "60");
    // A client that never answers a close: the drain would wait for it.
    const socket = io(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await next(socket, "connect");
    socket.io.engine.transport.ws._socket.pause();
    server.signal("SIGTERM");
    await sleep(300);
    server.signal("SIGTERM");
    await withTimeout(server.exited, 2000, "its end");
    socket.disconnect();
  });

  it("refuses with one clear line", async () => {
    const taken = createServer();
    await new Promise((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const number = `${taken.address().port}`;
    for (const [flags, environment, words] of [
      [["--port", number], {}, [number]],
      [["--port", "99999"], {}, ["99999"]],
      [["--no-such-flag"], {}, ["--no-such-flag"]],
      [["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem", "--port", "0"], {}, ["/nowhere/cert.pem"]],
      [[], { PORT: "abc" }, ["abc"]],
      [[], { SOCKEYE_PORT: number }, [number]],
      [[], { PORT: number }, [number]],
    ]) {
      const { code, err } = await run(flags, environment);
      assert.notEqual(code, 0, `${flags}`);
      assert.equal(err.trim().split("\n").length, 1, err);
      for (const word of words) assert.ok(err.includes(word), `${flags}: ${err}`);
      assert.ok(!/panicked|backtrace|\n\s+at /.test(err), err);
    }
    taken.close();
  });

  it("shows no demo beyond loopback unless told to", async () => {
    for (const [flags, status] of [[["--host", "0.0.0.0"], 404], [["--host", "0.0.0.0", "--demo"], 200], [["--no-demo"], 404]]) {
      const server = await serve("--port", "0", ...flags);
      const response = await fetch(`http://127.0.0.1:${server.port}/`);
      assert.equal(response.status, status, `${flags}`);
      const socket = io(`http://127.0.0.1:${server.port}`, { forceNew: true });
      await next(socket, "connect");
      socket.disconnect();
      server.signal("SIGTERM");
      await withTimeout(server.exited, 5000, "its end");
    }
  });

  it("knows its help and its version", async () => {
    const { code, out } = await run(["--help"]);
    assert.equal(code, 0);
    for (const word of ["--port", "--host", "SOCKEYE_PORT", "--demo"]) assert.ok(out.includes(word), word);
    assert.match((await run(["--version"])).out, /^sockeye \d+\.\d+\.\d+/);
  });

  it("ends a client that brings a broken packet, and no other", async () => {
    const server = await serve("--port", "0");
    const good = io(server.url, { forceNew: true, reconnection: false });
    const bad = io(server.url, { forceNew: true, reconnection: false, transports: ["websocket"] });
    await Promise.all([next(good, "connect"), next(bad, "connect")]);
    const left = next(bad, "disconnect");
    bad.io.engine.write("2{}");
    await left;
    assert.equal(good.connected, true);
    const answer = await until(() => good.timeout(2000).emitWithAck("hello", { name: "x" }), "an answer");
    assert.equal(answer.name, "x");
    good.disconnect();
    server.signal("SIGTERM");
    assert.equal((await withTimeout(server.exited, 5000, "its end"))[0], 0);
  });
});
