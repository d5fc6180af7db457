// Starting the programs under test, and helpers that every scenario uses.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";

/** Whether npm socket.io stands in for our server. */
export const reference = !process.env.FIXTURE;

/** Why a scenario is skipped that asks for what is our own promise, beyond what the two servers share. */
export const oursOnly = reference && "asked of ours only";

const program = reference
  ? [process.execPath, fileURLToPath(new URL("../reference-server/server.mjs", import.meta.url))]
  : [process.env.FIXTURE];
const listening = (line) => /^listening (\d+)$/.exec(line)?.[1];

/** Starts a fixture server with `flags`; resolves when it listens. */
export async function fixture(...flags) {
  return start([...program, ...flags], listening);
}

/** The same, allowed so many open files only. */
export async function fixtureWithFiles(count, ...flags) {
  return start(["sh", "-c", `ulimit -n ${count}; exec "$0" "$@"`, ...program, ...flags], listening);
}

const left = new Set();
process.on("exit", () => left.forEach((child) => child.kill("SIGKILL")));

/** Starts a program; `port` finds its port in one of the lines it writes. */
export async function start([program, ...args], port, environment = {}) {
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const exited = once(child, "exit").finally(() => left.delete(child));
  // Not every program ends with its standard input: none outlives the test that started it.
  left.add(child);
  const lines = createInterface({ input: child.stdout });
  const found = new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const number = port(line);
      if (number) resolve(Number(number));
    });
    exited.then(([code, signal]) => reject(new Error(`the server ended: code ${code}, signal ${signal}`)));
    child.on("error", reject);
  });
  const server = {
    pid: child.pid,
    port: await withTimeout(found, 20_000, "the server's first line"),
    /** Ends it; resolves to its exit code. */
    async stop() {
      child.stdin.end();
      const [code] = await Promise.race([exited, sleep(5000).then(() => [child.kill("SIGKILL") && "killed"])]);
      return code;
    },
    signal: (name) => child.kill(name),
    exited,
    /** The memory it holds now, in bytes. */
    memory: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) * 1024,
  };
  server.url = `http://127.0.0.1:${server.port}`;
  server.stats = () => get(`${server.url}/stats`);
  server.log = () => get(`${server.url}/log`);
  return server;
}

async function get(url) {
  return (await fetch(url, { headers: { connection: "close" } })).json();
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails when `promise` takes longer than `ms`. */
export async function withTimeout(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The arguments of the next `event` of an emitter of any kind. */
export function next(emitter, event, ms = 5000) {
  return withTimeout(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), ms, `event ${event}`);
}

/** Waits until `condition` holds; asks again every 10 ms. */
export async function until(condition, what, ms = 5000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never came true within ${ms} ms: ${what}`);
    await sleep(10);
  }
}

/** Emits with an ack; resolves to the ack's arguments. Works with every client generation. */
export function ask(socket, event, ...args) {
  return withTimeout(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), 5000, `ack of ${event}`);
}

/** Collects the arguments of every `event` from now on. */
export function collect(emitter, event) {
  const seen = [];
  emitter.on(event, (...args) => seen.push(args));
  return seen;
}

/** A door in front of a server that can be cut like a cable: no close frame, no FIN that anybody sent. */
export async function cable(port) {
  const pairs = new Set();
  let open = true;
  const server = createServer((near) => {
    if (!open) return near.destroy();
    const far = createConnection(port, "127.0.0.1");
    const pair = [near, far];
    pairs.add(pair);
    near.pipe(far).pipe(near);
    const end = () => { pairs.delete(pair); near.destroy(); far.destroy(); };
    for (const side of pair) side.on("error", end).on("close", end);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    port: server.address().port,
    /** Breaks all connections; new ones fail until `mend`. */
    cut() {
      open = false;
      for (const [near, far] of pairs) { near.resetAndDestroy(); far.resetAndDestroy(); }
      pairs.clear();
    },
    mend() { open = true; },
    close() { this.cut(); server.close(); },
  };
}
