// `npm test`: types, a fresh build of the modules, then every test. Arguments go to `node --test`.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: here, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};
run("node_modules/typescript/bin/tsc", "--noEmit", "-p", ".");
run("build.mjs", "--test");
// Node shows its WebSocket without being asked from 22 on.
const websocket = typeof WebSocket === "undefined" ? ["--experimental-websocket", "--disable-warning=ExperimentalWarning"] : [];
const files = readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".test.mjs"));
const usesServers = (name) => readFileSync(new URL(name, import.meta.url), "utf8").includes('from "./fixture.mjs"');
const test = (names, ...options) =>
  run(...websocket, "--test", ...options, "--test-timeout=120000", ...process.argv.slice(2), ...names.map((name) => "test/" + name));
test(files.filter((name) => !usesServers(name)));
// Forced: Node 20 now and then never ends while it closes the pipes to the servers it started. Only where it must be:
// forced, it may also drop the last results of a file whose tests are quicker than their report.
test(files.filter(usesServers), "--test-force-exit");
