// HAProxy before three servers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./redis.mjs";
import { until } from "./fixture.mjs";

const left = new Set();
process.on("exit", () => left.forEach((one) => one()));

/**
 * Starts one before the servers of a cluster; resolves when it lets requests through to all. `balance` replaces round
 * robin, for servers that cannot do with it.
 */
export async function haproxy([a, b, c], { balance } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "sockeye-haproxy-"));
  const text = readFileSync(new URL("haproxy.cfg", import.meta.url), "utf8");
  const config = join(directory, "haproxy.cfg");
  writeFileSync(config, balance ? text.replace("balance roundrobin", `balance ${balance}`) : text);
  const port = await freePort();
  const at = (server) => `127.0.0.1:${server.port}`;
  const child = spawn("haproxy", ["-q", "-db", "-f", config], {
    stdio: ["ignore", "inherit", "inherit"],
    // Debian keeps it where only root looks.
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, LISTEN: `127.0.0.1:${port}`, A: at(a), B: at(b), C: at(c) },
  });
  const exited = once(child, "exit");
  const leave = () => { child.kill("SIGKILL"); rmSync(directory, { recursive: true, force: true }); };
  left.add(leave);
  const url = `http://127.0.0.1:${port}`;
  const get = () => fetch(`${url}/readyz`, { headers: { connection: "close" } }).then(({ ok }) => ok, () => false);
  await until(get, "haproxy's first answer", 10_000);
  return {
    url,
    async end() {
      leave();
      left.delete(leave);
      await exited;
    },
  };
}
