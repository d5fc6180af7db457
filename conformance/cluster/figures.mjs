// What a cluster costs: `node cluster/figures.mjs node` measures three servers of npm, `… ours` three of ours (FIXTURE,
// built with --release). No test: it prints one line of JSON for each kind of adapter.
import { readFileSync } from "node:fs";
import { KINDS, cluster } from "../lib/cluster.mjs";
import { next, sleep } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";

const program = process.argv[2] ?? "ours";
const SECONDS = 4;
const BATCH = 250;

/** Seconds of processor that these have used. */
function used(nodes) {
  const ticks = ({ pid }) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ").slice(11, 13).reduce((sum, n) => sum + Number(n), 0);
  return nodes.reduce((sum, node) => sum + ticks(node), 0) / 100;
}

const round = (value) => Number(value.toPrecision(3));

for (const kind of KINDS) {
  const store = await redis();
  const world = await cluster([program, program, program], { redis: store, kind });
  const client = await store.client();
  const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await client.info("stats"))[1]);
  const [a, b, c] = await Promise.all(world.nodes.map((node) => world.client(node, `${node.name}1`)));
  for (const person of [a, b, c]) {
    person.socket.offAny();
    person.socket.on("n", (n) => { person.last = n; person.wake?.(); });
  }
  const reached = (person, n) => new Promise((resolve) => {
    person.wake = () => { if (person.last >= n) resolve(); };
    person.wake();
  });

  // Broadcasts of one server, so that at most two batches are under way; each counts when all three clients have it.
  const before = used(world.nodes);
  const start = performance.now();
  let sent = 0;
  let done = Promise.resolve();
  while (performance.now() - start < SECONDS * 1000) {
    const to = sent + BATCH;
    const batch = world.nodes[0].do("burst", { from: sent, to, args: ["n"] });
    await done;
    done = Promise.all([batch, ...[a, b, c].map((person) => reached(person, to - 1))]);
    sent = to;
  }
  await done;
  const seconds = (performance.now() - start) / 1000;
  const processor = used(world.nodes) - before;

  // From a client of one server to a client of another, one at a time.
  const times = [];
  for (let n = 0; n < 2000; n++) {
    const heard = next(c.socket, "ping");
    const at = performance.now();
    a.socket.emit("all-in", [], [], "ping", n, () => {});
    await heard;
    times.push(performance.now() - at);
  }
  times.sort((x, y) => x - y);

  // One client joins 10,000 rooms; what Redis hears of it, and what it hears of a client that comes.
  const joins = await commands();
  const joining = performance.now();
  await Promise.all(Array.from({ length: 10_000 }, (_, n) => a.socket.emitWithAck("join", `room ${n}`)));
  const joined = performance.now() - joining;
  await sleep(300);
  const joinCommands = (await commands()) - joins - 1;
  const connects = await commands();
  for (let n = 0; n < 50; n++) (await world.client(world.nodes[0], `n${n}`)).socket.disconnect();
  await sleep(300);
  const connectCommands = (await commands()) - connects - 1;

  console.log(JSON.stringify({
    program, kind, broadcastsPerSecond: round(sent / seconds), processorMicrosecondsPerBroadcast: round((processor / sent) * 1e6),
    latencyMedianMs: round(times[1000]), latencyP99Ms: round(times[1980]),
    join10000RoomsMs: round(joined), redisCommandsOfThat: joinCommands, redisCommandsOf50Connections: connectCommands,
  }));
  client.disconnect();
  await world.end();
  await store.end();
}
process.exit(0);
