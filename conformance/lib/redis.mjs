// A redis-server of one's own: on a free port, in a directory that goes with it, and as often down as a test wants.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createClient } from "redis";
import { until } from "./fixture.mjs";

/** A port that nobody listened on a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const leave = [];
process.on("exit", () => leave.forEach((one) => one()));

/** Starts one. It forgets everything when stopped, unless `keep`: then it writes a log that it reads back. */
export async function redis({ keep = false } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "sockeye-redis-"));
  const port = await freePort();
  const flags = ["--port", port, "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", keep ? "yes" : "no", "--loglevel", "warning"];
  let child;
  let exited;
  const server = {
    port,
    url: `redis://127.0.0.1:${port}`,
    async start() {
      child = spawn("redis-server", flags.map(String), { stdio: ["ignore", "ignore", "inherit"] });
      exited = once(child, "exit");
      const client = await server.client();
      await client.disconnect();
    },
    /** Ends it in good order, as `systemctl stop` would. */
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
    /** Holds it, so that it takes connections and answers nobody, until `go`. */
    hold: () => child.kill("SIGSTOP"),
    go: () => child.kill("SIGCONT"),
    /** A client of its own, which tries until the server is there. */
    async client() {
      const client = createClient({ url: server.url, socket: { reconnectStrategy: () => 20 } });
      client.on("error", () => {});
      await client.connect();
      await until(() => client.ping().catch(() => false), "redis-server's answer");
      return client;
    },
    /** Shows every command that anybody gives from now on, as lines of text. No subscription, so nobody is counted. */
    async watch() {
      const socket = createConnection(port, "127.0.0.1").setEncoding("utf8");
      const seen = { text: "", stop: () => socket.destroy() };
      socket.on("data", (data) => { seen.text += data; }).on("error", () => {});
      socket.write("MONITOR\r\n");
      await until(() => seen.text.includes("+OK"), "MONITOR");
      return seen;
    },
    async end() {
      child.kill("SIGCONT");
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  leave.push(() => {
    child?.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  await server.start();
  return server;
}

/**
 * A door in front of a server that fails as networks do: it is cut, or it takes bytes and hands on none. It leads to
 * another server when its `port` is changed.
 */
export async function door(port) {
  const pairs = new Set();
  let held = false;
  let open = true;
  const server = createServer((near) => {
    if (!open) return near.destroy();
    const far = createConnection(gate.port, "127.0.0.1");
    const pair = { near, far, waiting: [] };
    pairs.add(pair);
    const carry = (from, to) => from.on("data", (data) => (held ? pair.waiting.push([to, data]) : to.write(data)));
    carry(near, far);
    carry(far, near);
    const end = () => { pairs.delete(pair); near.destroy(); far.destroy(); };
    for (const side of [near, far]) side.on("error", end).on("close", end);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const gate = {
    port,
    url: `redis://127.0.0.1:${server.address().port}`,
    http: `http://127.0.0.1:${server.address().port}`,
    /** A partition: everything looks connected and nothing passes. */
    hold() { held = true; },
    /** Whatever was held back passes, in order. */
    go() {
      held = false;
      for (const { waiting } of pairs) for (const [to, data] of waiting.splice(0)) to.write(data);
    },
    /** Breaks all connections; new ones fail until `mend`. */
    cut() {
      open = false;
      for (const { near, far } of pairs) { near.resetAndDestroy(); far.resetAndDestroy(); }
      pairs.clear();
    },
    mend() { open = true; held = false; },
    end() { gate.cut(); server.close(); },
  };
  return gate;
}
