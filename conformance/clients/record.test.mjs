// A recording of many clients with a cable each, and a checker that decides from the records alone whether the
// guarantees held (ORDER, AMO, ROOM, GAP, RECOVER). The workload is random with a seed: SEED=n plays another.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { io as io4 } from "client4";
import { cable, fixture, next, oursOnly, sleep, until } from "../lib/fixture.mjs";

const SEED = Number(process.env.SEED ?? 20261120);
const CLIENTS = 16;
const ROOMS = ["r0", "r1", "r2", "r3"];
const MILLISECONDS = 5000;

/** Mulberry32: small, and good enough to be unfair. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One client: what it sent (`sent`), what it heard (`heard`), and its unbroken spans of membership (`spans`). */
class Person {
  sent = [];
  heard = [];
  spans = [];

  constructor(name, wire, transports, rooms) {
    Object.assign(this, { name, wire, rooms });
    this.socket = io4(wire.url, { forceNew: true, transports, reconnectionDelay: 20, reconnectionDelayMax: 60, randomizationFactor: 0, timeout: 2000 });
    this.socket.on("news", (sender, seq, rooms) => this.heard.push({ sender, seq, rooms, span: this.spans.length - 1 }));
    this.socket.on("connect", () => this.arrive());
  }

  arrive() {
    if (this.socket.recovered) return;
    // A new socket: whatever was missed is excused; membership begins when the server has said so.
    const span = { start: Infinity };
    this.spans.push(span);
    Promise.all(this.rooms.map((room) => this.socket.timeout(3000).emitWithAck("join", room))).then(
      () => { span.start = performance.now(); },
      () => {},
    );
  }

  say(rooms) {
    const one = { seq: this.sent.length, rooms, at: performance.now(), accepted: false };
    this.sent.push(one);
    this.socket.emit("all-in", rooms, [], "news", this.name, one.seq, rooms, () => { one.accepted = true; });
  }
}

/** Whether a broadcast to `rooms` is for this person; to no room is to the whole namespace. */
const addressed = (person, rooms) => rooms.length === 0 || rooms.some((room) => person.rooms.includes(room));

/** Every breach of a guarantee, in words. */
function judge(people) {
  const breaches = [];
  const byName = new Map(people.map((person) => [person.name, person]));
  for (const person of people) {
    const mine = (rooms) => addressed(person, rooms);
    const last = new Map();
    const got = new Map();
    for (const { sender, seq, rooms, span } of person.heard) {
      if (!mine(rooms)) breaches.push(`ROOM ${person.name} heard ${sender}:${seq} for ${rooms}`);
      if (seq <= (last.get(sender) ?? -1)) breaches.push(`ORDER ${person.name} heard ${sender}:${seq} after ${last.get(sender)}`);
      last.set(sender, seq);
      got.set(`${sender}:${seq}`, span);
    }
    for (const [index, span] of person.spans.entries()) {
      const final = index === person.spans.length - 1;
      for (const { name, sent } of byName.values()) {
        const heard = person.heard.filter((one) => one.sender === name && one.span === index);
        const end = final ? Infinity : heard.at(-1)?.seq ?? -1;
        for (const one of sent) {
          if (one.at < span.start || one.seq >= end || !one.accepted || !mine(one.rooms)) continue;
          if (!got.has(`${name}:${one.seq}`)) breaches.push(`GAP ${person.name} missed ${name}:${one.seq} in span ${index} of ${person.spans.length}`);
        }
      }
    }
  }
  return breaches;
}

for (const [title, flags] of [["with recovery", ["--recovery", "60000"]], ["without", []]]) {
  describe(`a recording ${title}`, () => {
    const skip = flags.length > 0 && oursOnly;
    it(`keeps the guarantees (SEED=${SEED})`, { skip }, async (t) => {
      const server = await fixture("--ping-interval", "1000", "--ping-timeout", "1000", ...flags);
      const dice = random(SEED);
      const pick = (list) => list[Math.floor(dice() * list.length)];
      const people = [];
      for (let i = 0; i < CLIENTS; i++) {
        const transports = [["websocket"], ["websocket"], ["polling"], ["polling", "websocket"]][i % 4];
        const rooms = ROOMS.filter(() => dice() < 0.5);
        people.push(new Person(`p${i}`, await cable(server.port), transports, rooms));
      }
      await Promise.all(people.map(({ socket }) => next(socket, "connect")));
      await until(() => people.every(({ spans }) => spans[0].start < Infinity), "everybody is in");
      let cuts = 0;
      const end = performance.now() + MILLISECONDS;
      while (performance.now() < end) {
        for (const person of people) if (dice() < 0.4) person.say(ROOMS.filter(() => dice() < 0.4));
        if (dice() < 0.08) {
          const { wire } = pick(people);
          wire.cut();
          cuts++;
          setTimeout(() => wire.mend(), dice() * 200);
        }
        await sleep(5 + dice() * 20);
      }
      // All are connected again, and a last word has gone round to everybody.
      await sleep(250);
      await until(() => people.every(({ socket, spans }) => socket.connected && spans.at(-1).start < Infinity), "everybody is back", 10_000);
      for (const person of people) person.say(person.rooms);
      await until(() => people.every(({ sent }) => sent.at(-1).accepted), "the last words are accepted", 10_000);
      await until(() => people.every((person) => people.every(({ name, sent, rooms }) => {
        return !addressed(person, rooms) || person.heard.some((one) => one.sender === name && one.seq === sent.at(-1).seq);
      })), "the last words are heard", 10_000);
      const breaches = judge(people);
      const count = (field) => people.reduce((sum, person) => sum + person[field].length, 0);
      t.diagnostic(`seed ${SEED}: ${count("sent")} sent, ${count("heard")} heard, ${cuts} cuts, ${count("spans") - CLIENTS} not recovered, ${breaches.length} breaches`);
      assert.deepEqual(breaches.slice(0, 20), []);
      people.forEach(({ socket, wire }) => { socket.disconnect(); wire.close(); });
      await server.stop();
    });
  });
}
