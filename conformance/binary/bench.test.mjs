// `sockeye bench` against npm socket.io: the fixture of CONTRACT.md, and the handlers that its own help prints.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { sleep, start, withTimeout } from "../lib/fixture.mjs";

const SOCKEYE = process.env.SOCKEYE;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Runs it to its end: `{code, out, err}`. */
async function bench(url, ...flags) {
  const short = flags.includes("--duration") ? [] : ["--duration", "400ms"];
  const child = spawn(SOCKEYE, ["bench", url, "--warmup", "100ms", "--json", ...short, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { err += data; });
  try {
    const [code] = await withTimeout(once(child, "close"), 30_000, `the end of bench ${flags.join(" ")}`);
    return { code, out, err };
  } finally {
    child.kill("SIGKILL");
  }
}

async function report(url, ...flags) {
  const { code, out, err } = await bench(url, ...flags);
  assert.equal(code, 0, err);
  const report = JSON.parse(out);
  assert.equal(report.errors, 0, out);
  assert.ok(report.done > 0, out);
  return report;
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

describe("sockeye bench against npm socket.io", { skip: !SOCKEYE && "no sockeye binary given" }, () => {
  let reference;
  let handlers;
  before(async () => {
    const program = [process.execPath, here("../reference-server/server.mjs"), "--ping-interval", "100", "--recovery", "1000"];
    reference = await start(program, (line) => /^listening (\d+)$/.exec(line)?.[1]);
    // As the help has it: an import that is not by path is looked for from the working directory on.
    const source = readFileSync(here("../../crates/sockeye-cli/src/bench/handlers.mjs"), "utf8");
    const port = await freePort();
    const child = spawn(process.execPath, ["--input-type=module", "--eval", source, "handlers", String(port)], { cwd: here(".."), stdio: "inherit" });
    process.on("exit", () => child.kill("SIGKILL"));
    handlers = { url: `http://127.0.0.1:${port}`, child };
    for (let tries = 0; ; tries++) {
      const listens = await fetch(`${handlers.url}/socket.io/?EIO=4&transport=polling`).then((r) => r.text(), () => false);
      if (listens) break;
      assert.ok(tries < 200 && child.exitCode === null, "the handlers of the help do not start");
      await sleep(50);
    }
  });
  after(async () => {
    await reference?.stop();
    handlers?.child.kill("SIGKILL");
  });

  for (const flags of [
    ["connect", "-n", "30"],
    ["idle", "-n", "20"],
    ["echo", "-n", "10", "-w", "3"],
    ["echo", "-n", "10", "--rate", "300"],
    ["echo", "-n", "10", "--no-ack"],
    ["echo", "-n", "10", "--echo-event", "message-with-ack"],
    ["polling", "-n", "5", "-w", "2"],
    ["binary", "-n", "4", "--payload", "70000"],
    ["churn", "-n", "5"],
    ["reconnect-storm", "-n", "20", "--duration", "3s"],
  ]) {
    it(`on the fixture: ${flags.join(" ")}`, async () => {
      await report(reference.url ?? `http://127.0.0.1:${reference.port}`, ...flags);
    });
  }

  for (const flags of [
    ["echo", "-n", "10"],
    ["broadcast", "-n", "20", "-w", "2", "--threads", "2"],
    ["broadcast", "-n", "20", "--rate", "50"],
    ["rooms", "--rooms", "4", "--members", "5", "-w", "3"],
    ["slow-consumer", "-n", "10", "--slow", "2"],
    ["polling", "-n", "5"],
    ["churn", "-n", "5"],
  ]) {
    it(`on the handlers that the help prints: ${flags.join(" ")}`, async () => {
      await report(handlers.url, ...flags);
    });
  }

  it("names the handlers that are missing", async () => {
    const { code, err } = await bench(`http://127.0.0.1:${reference.port}`, "broadcast", "--timeout", "300ms");
    assert.equal(code, 1);
    assert.match(err, /publish/);
    assert.match(err, /io\.on\("connection"/);
  });

  it("logs in, and says why it may not", async () => {
    const url = `http://127.0.0.1:${reference.port}/admin`;
    await report(url, "-n", "3", "--auth", '{"token":"secret"}');
    const { code, err } = await bench(url, "-n", "3");
    assert.equal(code, 1);
    assert.match(err, /not allowed/);
  });
});
