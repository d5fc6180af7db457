// Starting a server, a cable to cut, and the helpers every test uses.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// What ships is what is tested.
export { Fetch, io, Manager, Socket } from "../dist/socket.io.node.mjs";
export { io as ioOfBrowsers, Fetch as FetchOfBrowsers, WebSocket as WebSocketOfBrowsers } from "../dist/socket.io.esm.min.js";
export { io as ioWithoutPolling } from "../dist/socket.io.websocket.esm.min.js";
export * as msgpack from "../dist/msgpack-parser.js";

/** Set when a server runs already; it cannot be given flags or be ended. */
export const given = process.env.SOCKEYE_URL;

/** Starts a server that keeps conformance/CONTRACT.md: the program FIXTURE names, or npm socket.io. */
export async function server(...flags) {
  if (given) return { url: given, port: Number(new URL(given).port), stop() {} };
  return start(process.env.FIXTURE ? [process.env.FIXTURE] : OFFICIAL, flags);
}

/** The same on npm socket.io, whatever the environment says. */
server.official = (...flags) => start(OFFICIAL, flags);

/** The servers that the suite runs against, by name; each is started with flags. */
export const servers = given
  ? { [given]: server }
  : process.env.FIXTURE
    ? { "npm socket.io": server.official, sockeye: server }
    : { "npm socket.io": server.official };

const OFFICIAL = [process.execPath, fileURLToPath(new URL("server.mjs", import.meta.url))];

async function start([program, ...args], flags) {
  const child = spawn(program, [...args, ...flags], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const port = await within(20000, "the server's first line", new Promise((resolve) => {
    lines.on("line", (line) => {
      const found = /^listening (\d+)$/.exec(line);
      if (found) resolve(Number(found[1]));
    });
  }));
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
      lines.close();
      child.stdout.destroy();
    },
  };
}

/** A door in front of a server: it can be cut like a cable, and lead to another server afterwards. */
export async function cable(port) {
  const ends = new Set();
  let to = port;
  const door = createServer((near) => {
    if (!to) return near.destroy();
    const far = createConnection(to, "127.0.0.1");
    const end = () => [near, far].forEach((each) => (ends.delete(each), each.destroy()));
    for (const each of [near, far]) ends.add(each.on("error", end).on("close", end));
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => door.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${door.address().port}`,
    cut() {
      to = 0;
      for (const each of ends) each.resetAndDestroy();
    },
    lead(port) {
      to = port;
    },
    close() {
      this.cut();
      door.close();
    },
  };
}

/** Fails when `promise` takes longer. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the next `event`. */
export const next = (emitter, event, ms = 5000) =>
  within(ms, `event ${event}`, new Promise((resolve) => emitter.once(event, (...args) => resolve(args))));

/** Waits until `condition` holds. */
export async function until(what, condition, ms = 5000) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never came true within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
