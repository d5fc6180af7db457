// The official client and ours go through the same scenarios, at the official server and at ours: what their users see
// must be the same, in the same order. The official client at the official server is the measure.
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { io as official } from "socket.io-client";
import { given, io as ours, server, within } from "./fixture.mjs";
import { scenarios, stage } from "./scenarios.mjs";

// Where our client differs on purpose: the beginning of the scenario's name, the reason, and how what ours shows is
// made of what the official one shows.
export const DEVIATIONS = [
  {
    scenario: "recovered, where nothing can be",
    reason: "`recovered` is a boolean as its type says; the official client leaves `undefined` in it",
    ours: (expected) => replaced(expected, ["recovered", "undefined"], ["recovered", false]),
  },
  {
    scenario: "nobody there",
    reason: "`reconnect_failed` comes last: after it nothing follows, which is what it says",
    ours: (expected) => {
      const failed = expected.findIndex(([what]) => what === "manager reconnect_failed");
      return failed < 0 ? expected : [...expected.slice(0, failed), expected[failed + 1], expected[failed], ...expected.slice(failed + 2)];
    },
  },
];

function replaced(list, from, to) {
  const found = list.findIndex((each) => JSON.stringify(each) === JSON.stringify(from));
  assert.ok(found >= 0, "the official client does what the deviation says");
  return list.map((each, at) => (at === found ? to : each));
}

async function perform(who, client, host, { options, run, absent }) {
  const it = stage(client, absent ? "http://127.0.0.1:9" : host.url, options);
  try {
    await within(8000, `the end of the scenario: ${who}`, run({ ...it, io: client }));
  } catch (err) {
    throw new Error(`${who}: ${err.message}; so far ${JSON.stringify(it.seen)}`, { cause: err });
  } finally {
    it.end();
  }
  return it.seen;
}

/** The scenarios, so many at once. */
function compare(what, chosen, concurrency) {
  describe(`${what}: ${chosen.length} scenarios`, { concurrency }, async () => {
    const reference = await server.official();
    // Without another server the official one has to do for both clients.
    const other = process.env.FIXTURE || given ? await server() : undefined;
    after(() => Promise.all([reference.stop(), other?.stop()]));

    for (const scenario of chosen) {
      it(scenario.name, async () => {
        const expected = await perform("official client, official server", official, reference, scenario);
        assert.ok(expected.length > 0, "a scenario in which nothing happens shows nothing");
        const deviation = DEVIATIONS.find((each) => scenario.name.startsWith(each.scenario));
        for (const [who, client, host] of [
          ["our client, official server", ours, reference],
          ["official client, our server", official, other],
          ["our client, our server", ours, other],
        ]) {
          if (!host) continue;
          const seen = await perform(who, client, host, scenario);
          assert.deepEqual(seen, deviation && client === ours ? deviation.ours(expected) : expected, who);
        }
      });
    }
  });
}

compare("many at once", scenarios.filter((each) => !each.alone), 8);
compare("alone", scenarios.filter((each) => each.alone), 1);
