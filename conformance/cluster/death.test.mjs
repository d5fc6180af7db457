// A server is held up or killed while others wait for its answer. Ours gives what came and says who is missing; Node's
// servers see no other death than that of one of their own.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { KINDS, cluster, node } from "../lib/cluster.mjs";
import { oursOnly, reference, sleep, until } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";

const ours = reference ? "node" : "ours";
/** How each kind says that somebody wants answers: what `MONITOR` shows of it. */
const ASKED = { classic: /"publish" "socket\.io-request#\/#"/gi, sharded: /"spublish" "socket\.io#\/#"/gi, streams: /"publish" "socket\.io#\/#"/gi };

for (const kind of KINDS) {
  for (const victim of new Set([ours, "node"])) {
    describe(`${kind}: the end of a server (${victim})`, () => {
      let store;
      let world;
      let a;
      let b;
      let watch;
      before(async () => {
        store = await redis();
        world = await cluster([ours, "node"], { redis: store, kind, flags: ["--requests-timeout", "1500"] });
        [a, b] = world.nodes;
        for (const one of world.nodes) await (await world.client(one, `${one.name}1`)).ask("join", "red");
        watch = await store.watch();
      });
      after(async () => { watch?.stop(); await world?.end(); await store?.end(); });

      /** A third server with a client, held up: it takes what it is sent and says nothing. */
      async function third() {
        const c = await node(victim, "c", { redis: store, kind });
        await world.counted(3, "/", [a, b, c]);
        const person = await world.client(c, "c1");
        await person.ask("join", "red");
        await world.fence(a);
        c.signal("SIGSTOP");
        return { c, person };
      }

      /** Asks, and ends the third server when the question is on its way. */
      async function asks(from, what, command, { kill = true } = {}) {
        const { c, person } = await third();
        watch.text = "";
        const answer = from.do(what, { ...command }).then((value) => ({ value }), (error) => ({ error }));
        await until(() => watch.text.match(ASKED[kind]), `the question ${what}`);
        if (kill) {
          c.signal("SIGKILL");
        } else {
          await sleep(300); // so slow is it
          c.signal("SIGCONT");
        }
        const result = await answer;
        if (!kill) await c.stop();
        world.people.splice(world.people.indexOf(person), 1);
        person.socket.disconnect();
        await world.counted(2);
        return result;
      }

      it("asking clients gives the answers of the living", async () => {
        for (const from of [a, b]) {
          const { value } = await asks(from, "call", { rooms: ["red"], timeout: 1500, args: ["question"] });
          assert.deepEqual(value.answers.sort(), ["a1", "b1"]);
          assert.equal(value.missing, true);
          await world.fence(from);
        }
      });

      it("finding sockets gives those of the living, and says that somebody is missing", { skip: oursOnly }, async () => {
        const { error, value } = await asks(a, "fetch", { timeout: 1500 });
        // A bus that learns of a death needs no timeout: then the living are all there are.
        const found = error ? error.answer.partial : value;
        assert.equal(found.length, 2);
        if (error) {
          assert.match(error.message, /missing 1/);
          assert.equal(error.answer.missing, 1);
        }
      });

      it("asking servers gives the answers of the living, and says that somebody is missing", async () => {
        const { value } = await asks(a, "server-call", { args: ["server-question"] });
        assert.deepEqual(value.answers, [["b"]]);
        if (a.ours && value.error) assert.equal(value.missing, 1);
        else if (!a.ours) assert.match(value.error, /timeout reached/);
      });

      it("listing rooms gives those of the living, and says that somebody is missing", { skip: kind !== "classic" ? "only the classic protocol can ask for rooms" : oursOnly }, async () => {
        const { error } = await asks(a, "rooms", {});
        assert.ok(error.answer.partial.includes("red"));
        assert.equal(error.answer.missing, 1);
      });

      it("a slow server is waited for", async () => {
        for (const from of [a, b]) {
          const { value } = await asks(from, "call", { rooms: ["red"], timeout: 4000, args: ["question"] }, { kill: false });
          assert.deepEqual([value.answers.sort(), value.missing], [["a1", "b1", "c1"], false]);
          await world.fence(from);
        }
        const { value } = await asks(a, "fetch", {}, { kill: false });
        assert.equal(value.length, 3);
      });

      it("afterwards all is well among the living", async () => {
        for (const from of [a, b]) {
          assert.equal((await from.do("fetch")).length, 2);
          const { answers, missing } = await from.do("call", { timeout: 1500, args: ["question"] });
          assert.deepEqual([answers.sort(), missing], [["a1", "b1"], false]);
          const { answers: servers, error } = await from.do("server-call", { args: ["server-question"] });
          assert.deepEqual([servers, error], [[[from === a ? "b" : "a"]], undefined]);
        }
      });
    });
  }
}
