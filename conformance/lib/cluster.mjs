// Several servers on one Redis, and clients that note down whatever reaches them.
import { fileURLToPath } from "node:url";
import { io } from "client4";
import { next, reference, start, until, withTimeout } from "./fixture.mjs";
import { pack, unpack } from "./values.mjs";

/** The adapters there are; `KINDS=streams` runs the scenarios of one. */
export const KINDS = (process.env.KINDS ?? "classic,sharded,streams").split(",");

const PROGRAMS = {
  node: [process.execPath, fileURLToPath(new URL("../reference-server/server.mjs", import.meta.url))],
  ours: [process.env.FIXTURE],
};

/** Two Node servers and ours, or three Node servers where the scenarios themselves are to be proved right. */
export const MIXED = reference ? ["node", "node", "node"] : ["node", "node", "ours"];

/** What recovery adds to the arguments of events: the id of an entry of the stream. */
const OFFSET = /^\d+-\d+$/;

/** One server of a cluster; `program` is `node` or `ours`. */
export async function node(program, name, { redis, kind, flags = [] }) {
  const server = await start([...PROGRAMS[program], "--name", name, "--redis", redis.url ?? redis, "--kind", kind, ...flags], (line) => /^listening (\d+)$/.exec(line)?.[1]);
  return Object.assign(server, {
    name,
    ours: program === "ours",
    /** Does what CONTRACT.md says under "In a cluster"; resolves to the answer, rejects with the server's complaint. */
    async do(what, command = {}) {
      const body = JSON.stringify(pack({ do: what, ...command }));
      const response = await withTimeout(fetch(`${server.url}/do`, { method: "POST", body, headers: { connection: "close" } }), 15_000, `${what} at ${name}`);
      const { error, value, ...more } = await response.json();
      if (error !== undefined) throw Object.assign(new Error(error), { answer: unpack(more) });
      return unpack(value);
    },
  });
}

/**
 * Servers `a`, `b`, `c`… on one Redis; resolves when each counts them all. `through` names those who reach Redis
 * through a door of their own; `count` is how many there are with those who were there before.
 */
export async function cluster(programs, { through = {}, count = programs.length, ...options }) {
  const names = [..."abcdef"].slice(0, programs.length);
  const nodes = await Promise.all(names.map((name, index) => node(programs[index], name, { ...options, redis: through[name] ?? options.redis })));
  const people = [];
  let fences = 0;
  const whole = {
    nodes,
    people,
    /** Waits until every server counts `count` of them in a namespace. */
    counted: (count = nodes.length, nsp = "/", among = nodes) =>
      until(async () => (await Promise.all(among.map((one) => one.do("count", { nsp }).catch(() => 0)))).every((seen) => seen === count), `${count} servers in ${nsp}`, 10_000),
    /** A client of `server` that notes what it hears, and answers `question` with its name. */
    async client(server, name, { nsp = "/", url = server.url, ...options } = {}) {
      const person = new Person(name, io(url + nsp, { forceNew: true, reconnection: false, transports: ["websocket"], ...options }));
      people.push(person);
      await next(person.socket, "connect", 10_000);
      return person;
    },
    /** Waits until what `from` has sent so far has reached all `listeners`; what they heard since the last fence, by name. */
    async fence(from, listeners = people.filter((person) => person.socket.connected), nsp = "/") {
      const mark = `${from.name}${fences++}`;
      const there = listeners.map((person) => person.until((event) => event[0] === "fence" && event[1] === mark, `fence ${mark} at ${person.name}`));
      await from.do("emit", { nsp, args: ["fence", mark] });
      await Promise.all(there);
      return Object.fromEntries(listeners.map((person) => [person.name, person.take()]));
    },
    async end() {
      for (const person of people) person.socket.disconnect();
      await Promise.all(nodes.map((one) => one.stop()));
    },
  };
  try {
    await whole.counted(count);
    return whole;
  } catch (error) {
    await whole.end();
    throw error;
  }
}

/** A client, and what it heard: `[event, …]` each, the offsets of recovery left out. */
class Person {
  heard = [];
  waiting = new Set();
  silent = false;

  constructor(name, socket) {
    Object.assign(this, { name, socket });
    socket.onAny((...event) => {
      const ack = typeof event.at(-1) === "function" ? event.pop() : undefined;
      if (event[0] === "auth") return;
      if (socket._pid && OFFSET.test(event.at(-1))) event.pop();
      this.note(event);
      if (ack && !this.silent) ack(event[0] === "question" ? this.name : event.at(-1));
    });
    socket.on("disconnect", (reason) => this.note(["disconnect", reason]));
  }

  note(event) {
    this.heard.push(event);
    for (const look of this.waiting) look(event);
  }

  /** Resolves with the first event that `wanted` accepts, heard before or not yet. */
  until(wanted, what, ms = 5000) {
    const seen = this.heard.find(wanted);
    if (seen) return Promise.resolve(seen);
    return withTimeout(new Promise((resolve) => {
      const look = (event) => {
        if (!wanted(event)) return;
        this.waiting.delete(look);
        resolve(event);
      };
      this.waiting.add(look);
    }), ms, what);
  }

  /** What was heard since the last time, fences left out. */
  take() {
    return this.heard.splice(0).filter(([name]) => name !== "fence");
  }

  ask(event, ...args) {
    return withTimeout(this.socket.emitWithAck(event, ...args), 5000, `ack of ${event} at ${this.name}`);
  }
}
