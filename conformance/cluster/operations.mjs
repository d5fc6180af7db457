// Every operation that crosses servers, asked of every server of a cluster: two of npm socket.io and one of ours, or
// (`--reference`) three of npm socket.io, which is what all of them shall be told apart from by nobody.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MIXED, cluster } from "../lib/cluster.mjs";
import { until } from "../lib/fixture.mjs";
import { redis } from "../lib/redis.mjs";
import { pack } from "../lib/values.mjs";

const ALL = ["a1", "a2", "b1", "b2", "c1", "c2"];
const ROOMS = {
  red: ["a1", "b1", "c1"],
  blue: ["a1", "a2", "b2"],
  // Names that mean something to Redis, to the names of channels, or to those who guess what a room is.
  "*": ["b1", "c2"],
  "x#y": ["a2", "c1"],
  "né 42 [?]": ["a1", "b2", "c2"],
  42: ["b2", "c1"],
  "twenty-letters-1234.": ["a2", "b1", "c2"],
};
const VALUES = [1, -0.5, 1e-7, 2 ** 40, "", "é😀\u2028", null, true, [], { a: [{ b: null }], "": {} }];
const BYTES = Buffer.from([0, 255, 123, 10]);

export function operations(kind) {
  describe(`${kind}: ${MIXED.join(", ")}`, () => {
    let store;
    let world;
    let nodes;
    const person = {};
    const id = (name) => person[name].socket.id;
    const names = (ids) => ids.map((one) => ALL.find((name) => id(name) === one) ?? one);

    before(async () => {
      store = await redis();
      world = await cluster(MIXED, { redis: store, kind, flags: ["--requests-timeout", "2000"] });
      nodes = world.nodes;
      for (const name of ALL) {
        const server = nodes["abc".indexOf(name[0])];
        person[name] = await world.client(server, name, { query: { me: name }, auth: { token: `secret of ${name}` }, extraHeaders: { "x-conformance": name } });
        await person[name].ask("keep", { name, since: 7 });
      }
      for (const [room, members] of Object.entries(ROOMS)) {
        for (const name of members) await person[name].ask("join", room);
      }
      await subscribed(ROOMS);
    });
    after(async () => { await world?.end(); await store?.end(); });

    /** Waits until broadcasts to rooms reach everybody: a sharded adapter subscribes to them when the join is long answered. */
    async function subscribed(rooms) {
      for (const [room, members] of Object.entries(rooms)) {
        for (const from of nodes) {
          await until(async () => {
            await from.do("emit", { rooms: [room], args: ["probe", room, from.name] });
            await world.fence(from, ALL.map((name) => person[name])).then((heard) => { for (const name of ALL) person[name].probes = heard[name].length; });
            return members.every((name) => person[name].probes > 0);
          }, `the subscriptions to ${room}`);
        }
      }
    }

    /** Waits until exactly these are in a room, by what their own servers say. */
    const members = (room, expected) => until(async () => {
      const rooms = await Promise.all(ALL.map((name) => person[name].ask("rooms")));
      return ALL.filter((_, index) => rooms[index].includes(room)).join() === expected.join();
    }, `${expected.join(" and ")} alone in ${room}`);

    /** Has `from` do something; then exactly these have heard exactly this. */
    async function heard(from, what, command, expected) {
      await from.do(what, command);
      const heard = await world.fence(from);
      const all = Object.fromEntries(Object.keys(heard).map((name) => [name, []]));
      assert.deepEqual(pack(heard), pack({ ...all, ...expected }));
    }

    const each = (members, events) => Object.fromEntries(members.map((name) => [name, events]));

    for (const index of MIXED.keys()) {
      describe(`asked of ${"abc"[index]} (${MIXED[index]})`, () => {
        let from;
        let others;
        before(() => { from = nodes[index]; others = nodes.filter((one) => one !== from); });

        it("broadcasts to all, every kind of value", () =>
          heard(from, "emit", { args: ["news", ...VALUES] }, each(ALL, [["news", ...VALUES]])));

        it("broadcasts binary values where they were", () =>
          heard(from, "emit", { args: ["news", BYTES, { deep: [BYTES, 1] }, "after"] }, each(ALL, [["news", BYTES, { deep: [BYTES, 1] }, "after"]])));

        it("broadcasts without any argument", () => heard(from, "emit", { args: ["bare"] }, each(ALL, [["bare"]])));

        for (const [room, members] of Object.entries(ROOMS)) {
          it(`broadcasts to the room ${room}`, () => heard(from, "emit", { rooms: [room], args: ["r", 1] }, each(members, [["r", 1]])));
        }

        it("broadcasts to a union of rooms, once per socket", () =>
          heard(from, "emit", { rooms: ["red", "blue"], args: ["u"] }, each(["a1", "a2", "b1", "b2", "c1"], [["u"]])));

        it("broadcasts binary to a room", () => heard(from, "emit", { rooms: ["red"], args: ["u", BYTES] }, each(ROOMS.red, [["u", BYTES]])));

        it("leaves out who is in an excepted room", () =>
          heard(from, "emit", { rooms: ["red"], except: ["blue"], args: ["e"] }, each(["b1", "c1"], [["e"]])));

        it("leaves out a single socket, wherever it is", async () => {
          for (const out of ["a1", "b1", "c2"]) {
            await heard(from, "emit", { except: [id(out)], args: ["e"] }, each(ALL.filter((name) => name !== out), [["e"]]));
          }
        });

        it("reaches a single socket by its id, wherever it is", async () => {
          for (const to of ALL) await heard(from, "emit", { rooms: [id(to)], args: ["you", to] }, { [to]: [["you", to]] });
        });

        it("reaches nobody in a room of nobody", () => heard(from, "emit", { rooms: ["nobody"], args: ["x"] }, {}));

        it("knows the flags volatile and compress", async () => {
          await heard(from, "emit", { volatile: true, args: ["v", 1] }, each(ALL, [["v", 1]]));
          await heard(from, "emit", { compress: false, rooms: ["red"], args: ["v", 2] }, each(ROOMS.red, [["v", 2]]));
        });

        it("keeps local what is local", () =>
          heard(from, "emit", { local: true, args: ["here"] }, each(ALL.filter((name) => name.startsWith(from.name)), [["here"]])));

        it("carries 300,000 characters", () => {
          const long = "€".repeat(300_000);
          return heard(from, "emit", { rooms: ["red"], args: ["long", long] }, each(ROOMS.red, [["long", long]]));
        });

        it("keeps the order of 500 broadcasts while the others send as well", async () => {
          await Promise.all(nodes.map((one) => one.do("burst", { from: 0, to: 500, args: ["n", one.name] })));
          const seen = Object.fromEntries(ALL.map((name) => [name, []]));
          for (const one of nodes) {
            for (const [name, events] of Object.entries(await world.fence(one))) seen[name].push(...events);
          }
          for (const name of ALL) {
            for (const one of nodes) {
              const numbers = seen[name].filter(([, sender]) => sender === one.name).map(([, , n]) => n);
              assert.deepEqual(numbers, Array.from({ length: 500 }, (_, n) => n), `${name} heard ${one.name}`);
            }
          }
        });

        it("asks clients and gathers their answers", async () => {
          for (const [rooms, members] of [[[], ALL], [["red"], ROOMS.red], [["red", "blue"], ["a1", "a2", "b1", "b2", "c1"]], [["nobody"], []], [[id("b2")], ["b2"]]]) {
            const { answers, missing } = await from.do("call", { rooms, timeout: 4000, args: ["question", 1, BYTES] });
            assert.deepEqual(answers.sort(), members);
            assert.equal(missing, false);
            assert.deepEqual(pack(await world.fence(from)), pack({ ...each(ALL, []), ...each(members, [["question", 1, BYTES]]) }));
          }
        });

        it("takes binary and empty answers", async () => {
          const { answers } = await from.do("call", { rooms: ["red"], timeout: 4000, args: ["parrot", 1, BYTES] });
          assert.deepEqual(answers, [BYTES, BYTES, BYTES]);
          await world.fence(from);
        });

        it("gives the answers there are when a client has none", async () => {
          for (const quiet of ["a1", "b1", "c1"]) {
            person[quiet].silent = true;
            const { answers, missing } = await from.do("call", { rooms: ["red"], timeout: 300, args: ["question"] });
            person[quiet].silent = false;
            assert.deepEqual(answers.sort(), ROOMS.red.filter((name) => name !== quiet));
            assert.equal(missing, true);
            await world.fence(from);
          }
        });

        it("has sockets join and leave rooms", async () => {
          const room = `club-${from.name}`;
          await from.do("join", { rooms: ["red"], except: [id("b1")], into: [room, `${room}-2`] });
          await members(room, ["a1", "c1"]);
          await members(`${room}-2`, ["a1", "c1"]);
          await subscribed({ [room]: ["a1", "c1"] });
          await heard(from, "emit", { rooms: [room], args: ["club"] }, each(["a1", "c1"], [["club"]]));
          await from.do("leave", { rooms: [room], except: [id("a1")], into: [room] });
          await members(room, ["a1"]);
          await heard(from, "emit", { rooms: [room], args: ["club"] }, each(["a1"], [["club"]]));
          await from.do("leave", { into: [room, `${room}-2`] });
          await members(room, []);
          await members(`${room}-2`, []);
          await heard(from, "emit", { rooms: [room, `${room}-2`], args: ["club"] }, {});
        });

        it("finds the sockets of all servers, with rooms and data", async () => {
          const sockets = await from.do("fetch");
          assert.deepEqual(names(sockets.map((one) => one.id)).sort(), ALL);
          for (const one of sockets) {
            const [name] = names([one.id]);
            const mine = Object.entries(ROOMS).filter(([, members]) => members.includes(name)).map(([room]) => room);
            assert.deepEqual(one.rooms.filter((room) => !room.startsWith("club")), [...mine, one.id].sort());
            assert.deepEqual(one.data, { kept: { name, since: 7 } });
            assert.equal(one.secure, false);
          }
          for (const [rooms, except, members] of [[["red"], [], ROOMS.red], [["red", "blue"], ["*"], ["a1", "a2", "b2", "c1"]], [["nobody"], [], []], [[id("c2")], [], ["c2"]]]) {
            assert.deepEqual(names((await from.do("fetch", { rooms, except })).map((one) => one.id)).sort(), members);
          }
        });

        it("learns of a handshake what its server shares", async () => {
          for (const one of await from.do("fetch")) {
            const [name] = names([one.id]);
            const owner = nodes["abc".indexOf(name[0])];
            if (owner.ours && owner !== from) {
              // Headers and auth are secrets: ours keeps them unless told otherwise.
              assert.deepEqual([one.auth, one.header], [{}, null], `${name}'s secrets`);
            } else {
              assert.deepEqual([one.auth, one.header], [{ token: `secret of ${name}` }, name]);
              assert.equal(one.query.me, name);
            }
          }
        });

        it("commands a socket that it found", async () => {
          for (const name of ["a2", "b2", "c2"]) {
            const rooms = [id(name)];
            await heard(from, "one-emit", { rooms, args: ["to one", BYTES] }, { [name]: [["to one", BYTES]] });
            assert.equal(await from.do("one-call", { rooms, timeout: 4000, args: ["question"] }), name);
            await world.fence(from);
            await from.do("one-join", { rooms, into: ["alone"] });
            await members("alone", [name]);
            await from.do("one-leave", { rooms, into: ["alone"] });
            await members("alone", []);
          }
        });

        it("tells other servers", async () => {
          for (const one of nodes) await one.do("heard");
          await from.do("server-emit", { args: ["server-note", ...VALUES] });
          await from.do("server-emit", { args: ["server-note", "second"] });
          for (const one of others) {
            const told = [];
            await until(async () => told.push(...await one.do("heard")) && told.length >= 2, `${one.name} is told`);
            assert.deepEqual(told.map(({ args }) => args), [VALUES, ["second"]]);
          }
          assert.deepEqual(await from.do("heard"), []);
        });

        it("asks other servers and gathers their answers", async () => {
          const { answers, error } = await from.do("server-call", { args: ["server-question", 1, { two: [3] }] });
          assert.equal(error, undefined);
          assert.deepEqual(answers.sort(), others.map((one) => [one.name, 1, { two: [3] }]));
        });

        it("counts the servers", async () => {
          assert.equal(await from.do("count"), 3);
          assert.equal(await from.do("count", { nsp: "/custom" }), 3);
        });

        it("lists the rooms of all servers", { skip: kind !== "classic" && "only the classic protocol can ask for rooms" }, async () => {
          const rooms = (await from.do("rooms")).filter((room) => !room.startsWith("club"));
          assert.deepEqual(rooms, [...Object.keys(ROOMS), ...ALL.map(id)].sort());
        });

        it("keeps namespaces apart", async () => {
          await world.counted(3, "/custom");
          const there = [];
          for (const one of nodes) there.push(await world.client(one, `custom-${one.name}`, { nsp: "/custom" }));
          await from.do("emit", { nsp: "/custom", args: ["inside"] });
          const heard = await world.fence(from, there, "/custom");
          assert.deepEqual(heard, each(there.map((one) => one.name), [["inside"]]));
          const outside = await world.fence(from, ALL.map((name) => person[name]));
          assert.deepEqual(outside, each(ALL, []));
          there.forEach((one) => one.socket.disconnect());
        });

        it("serves a namespace that comes and goes", async () => {
          const nsp = `/dynamic-${index}`;
          const there = [];
          for (const one of nodes) there.push(await world.client(one, `dynamic-${one.name}`, { nsp }));
          await world.counted(3, nsp);
          await from.do("emit", { nsp, args: ["inside", BYTES] });
          const heard = await world.fence(from, there, nsp);
          assert.deepEqual(pack(heard), pack(each(there.map((one) => one.name), [["inside", BYTES]])));
          there.forEach((one) => one.socket.disconnect());
        });

        for (const close of [false, true]) {
          it(`disconnects sockets${close ? " and their sessions" : ""}`, async () => {
            const there = [];
            for (const one of nodes) there.push(await world.client(one, `gone-${one.name}`));
            for (const one of there) await one.ask("join", "doomed");
            await from.do("disconnect", { rooms: ["doomed"], except: [there[0].socket.id], close });
            await Promise.all(there.slice(1).map((one) => one.until(([event]) => event === "disconnect", `the end of ${one.name}`)));
            assert.deepEqual(there[2].heard.at(-1), ["disconnect", "io server disconnect"]);
            assert.deepEqual(there[1].heard.at(-1), ["disconnect", "io server disconnect"]);
            await world.fence(from);
            assert.ok(there[0].socket.connected);
            await from.do("one-disconnect", { rooms: [there[0].socket.id], close });
            await there[0].until(([event]) => event === "disconnect", "the end of the last");
          });
        }
      });
    }

    it("gives the answers there are when a server has none", async () => {
      // Nobody listens to this one. All ask at once: where the time cannot be set it is five seconds.
      await Promise.all(nodes.map(async (from) => {
        const { answers, error } = await from.do("server-call", { args: ["server-riddle"] });
        // Ours says at once that nobody listens; a Node server says nothing, and is waited for.
        assert.deepEqual(answers, nodes.filter((one) => one !== from && one.ours).map(() => null));
        assert.match(error, /timeout reached|missing/);
      }));
    });
  });
}
