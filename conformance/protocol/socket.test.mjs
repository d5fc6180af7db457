// Socket.IO 5, packet by packet on a bare WebSocket or poll: what the protocol's own suite asks of a server, and
// what the decoder must refuse (threats F).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fixture, oursOnly, sleep, until } from "../lib/fixture.mjs";
import { handshake, poll, post, socket as open } from "../lib/engine.mjs";

let server, base;
before(async () => {
  server = await fixture("--connect-timeout", "1000");
  base = `${server.url}/socket.io/`;
});
after(() => server?.stop());

/** A WebSocket whose Engine.IO session is open, and whose sockets do not talk of themselves. */
async function session() {
  const ws = await open(`${base}?EIO=4&transport=websocket`);
  await ws.text();
  return ws;
}

/** A WebSocket on the main namespace. */
async function connected() {
  const ws = await session();
  ws.send("40");
  const answer = await ws.text();
  assert.match(answer, /^40\{"sid":"[\w-]{20,}"\}$/);
  assert.equal(await ws.text(), '42["auth",{}]');
  return ws;
}

/** Another client's echo: nothing that one client does may disturb it. */
async function neighbour() {
  const ws = await connected();
  ws.send('420["message-with-ack","still here"]');
  assert.equal(await ws.text(), '430["still here"]');
  ws.close();
}

describe("connect", () => {
  for (const [name, sent, answer, auth] of [
    ["to the main namespace", "40", /^40\{"sid":"([\w-]+)"\}$/, '42["auth",{}]'],
    ["to the main namespace with a payload", '40{"token":"123"}', /^40\{"sid":"([\w-]+)"\}$/, '42["auth",{"token":"123"}]'],
    ["to a custom namespace", "40/custom,", /^40\/custom,\{"sid":"([\w-]+)"\}$/, '42/custom,["auth",{}]'],
    ["to a custom namespace with a payload", '40/custom,{"token":"abc €"}', /^40\/custom,\{"sid":"([\w-]+)"\}$/, '42/custom,["auth",{"token":"abc €"}]'],
    ["to a custom namespace without the comma", "40/custom", /^40\/custom,\{"sid":"([\w-]+)"\}$/, '42/custom,["auth",{}]'],
    ["to a dynamic namespace", "40/dynamic-101,", /^40\/dynamic-101,\{"sid":"([\w-]+)"\}$/, '42/dynamic-101,["auth",{}]'],
  ]) {
    it(name, async () => {
      const ws = await session();
      ws.send(sent);
      assert.match(await ws.text(), answer);
      assert.equal(await ws.text(), auth);
      ws.close();
    });
  }

  for (const [name, sent, answer] of [
    ["an unknown namespace", "40/random,", '44/random,{"message":"Invalid namespace"}'],
    ["a namespace that only starts like a dynamic one", "40/dynamic-1x,", '44/dynamic-1x,{"message":"Invalid namespace"}'],
    ["a query, which is part of the name", "40/custom?a=1,", '44/custom?a=1,{"message":"Invalid namespace"}'],
    ["__proto__", "40/__proto__,", '44/__proto__,{"message":"Invalid namespace"}'],
    ["a middleware's refusal", '40/admin,{"token":"x"}', '44/admin,{"message":"not allowed","data":{"code":401,"hint":"token"}}'],
  ]) {
    it(`is refused for ${name}, and the connection stays`, async () => {
      const ws = await session();
      ws.send(sent);
      assert.equal(await ws.text(), answer);
      ws.send("40");
      assert.match(await ws.text(), /^40\{/);
      ws.close();
    });
  }

  it("is refused for a name that is too long", { skip: oursOnly }, async () => {
    const ws = await session();
    const name = `/dynamic-${"1".repeat(300)}`;
    ws.send(`40${name},`);
    assert.match(await ws.text(), /Invalid namespace/);
    ws.close();
    await neighbour();
  });

  it("ends a session that connects nowhere in time", async () => {
    const ws = await session();
    const start = Date.now();
    await ws.closed();
    assert.ok(Date.now() - start > 800);
  });

  it("keeps events that follow a CONNECT at once", { skip: oursOnly }, async () => {
    const { sid } = await handshake(base);
    await post(base, sid, '40/slow,{"wait":100}\x1e42/slow,0["message-with-ack",1]');
    let seen = "";
    while (!seen.includes("43/slow,0")) seen += await (await poll(base, sid)).text() + "\n";
    assert.ok(seen.includes("43/slow,0[1]"), seen);
    await post(base, sid, "1");
  });

  it("makes one socket of two CONNECTs", { skip: oursOnly }, async () => {
    const ws = await session();
    ws.send('40/slow,{"wait":200}');
    ws.send('40/slow,{"wait":200}');
    await ws.closed();
    await until(async () => (await server.stats()).sockets === 0, "no socket");
  });

  it("gives at most 128 namespaces to a connection", { skip: oursOnly }, async () => {
    const ws = await session();
    for (let i = 0; i < 200; i++) ws.send(`40/dynamic-${i},`);
    let [taken, refused] = [0, 0];
    while (taken + refused < 200) {
      const text = await ws.message((data) => data[0] === "4" && data[1] !== "2");
      if (text[1] === "0") taken++;
      else refused++;
    }
    assert.deepEqual([taken, refused], [128, 72]);
    ws.close();
    await until(async () => (await server.stats()).sockets === 0, "no socket");
    await neighbour();
  });
});

describe("disconnect", () => {
  it("leaves the session open for another try at once", { skip: oursOnly }, async () => {
    const ws = await connected();
    ws.send("41");
    ws.send("40");
    assert.match(await ws.text(), /^40\{/);
    ws.close();
  });

  it("leaves the other namespaces alone", async () => {
    const ws = await connected();
    ws.send("40/custom,");
    await ws.text();
    await ws.text();
    ws.send("41/custom,");
    ws.send('42["message","message to main namespace"]');
    assert.equal(await ws.text(), '42["message-back","message to main namespace"]');
    ws.close();
  });
});

describe("events", () => {
  for (const [name, sent, received] of [
    ["with plain values", ['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']],
    ["without arguments", ['42["message"]'], ['42["message-back"]']],
    ["with an ack", ['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']],
    ["with the largest ack id", ['429007199254740991["message-with-ack"]'], ["439007199254740991[]"]],
    ["with a placeholder that is data", ['42["message",{"_placeholder":true,"num":0}]'], ['42["message-back",{"_placeholder":true,"num":0}]']],
    ["with white space in the JSON", ['42["message", 1 ,[ ]]'], ['42["message-back",1,[]]']],
    ["with binary", ['452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])],
      ['452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])]],
    ["with binary and an ack", ['451-789["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.from([1, 2])],
      ['461-789[{"_placeholder":true,"num":0}]', Buffer.from([1, 2])]],
    ["with ten attachments", [`4510-["message",${Array.from({ length: 10 }, (_, i) => `{"_placeholder":true,"num":${i}}`)}]`, ...Array.from({ length: 10 }, (_, i) => Buffer.from([i]))],
      [`4510-["message-back",${Array.from({ length: 10 }, (_, i) => `{"_placeholder":true,"num":${i}}`)}]`, ...Array.from({ length: 10 }, (_, i) => Buffer.from([i]))]],
  ]) {
    it(name, async () => {
      const ws = await connected();
      sent.forEach((data) => ws.send(data));
      for (const expected of received) {
        const got = await ws.message();
        // White space between the values may or may not survive.
        if (typeof expected === "string" && name.includes("white")) assert.equal(got.replaceAll(" ", ""), expected);
        else assert.deepEqual(got, expected);
      }
      ws.close();
    });
  }

  it("carries numbers that no JavaScript number holds as they came", { skip: oursOnly }, async () => {
    const ws = await connected();
    ws.send('42["message",12345678901234567890,1e400]');
    assert.equal(await ws.text(), '42["message-back",12345678901234567890,1e400]');
    ws.close();
  });

  it("answers a question once, whoever answers how often", async () => {
    const ws = await connected();
    ws.send('42["ask","q"]');
    const question = await ws.text();
    const id = /^42(\d+)\["question","q"\]$/.exec(question)[1];
    ws.send(`43${Number(id) + 7}["not asked"]`);
    ws.send(`43${id}["first"]`);
    ws.send(`43${id}["second"]`);
    assert.equal(await ws.text(), '42["answered","first"]');
    ws.send('420["message-with-ack"]');
    assert.equal(await ws.text(), "430[]");
    ws.close();
  });

  it("ignores another client's answer", async () => {
    const [asker, stranger] = [await connected(), await connected()];
    asker.send('42["ask"]');
    const id = /^42(\d+)/.exec(await asker.text())[1];
    stranger.send(`43${id}["mine"]`);
    stranger.send('420["message-with-ack"]');
    assert.equal(await stranger.text(), "430[]");
    asker.send(`43${id}["yours"]`);
    assert.equal(await asker.text(), '42["answered","yours"]');
    asker.close();
    stranger.close();
  });
});

const HOSTILE = [
  ["an unknown packet type", "4abc"],
  ["type 7", "47"],
  ["a full-width digit for a type", "4\uff12[\"message\"]"],
  ["an event that is an object", "42{}"],
  ["an event with an id that is no number", '42abc["message-with-ack",1]'],
  ["an event without a name", "42[]"],
  ["an event whose name is an object", '42[{"toString":"x"}]'],
  ["an event whose name is null", "42[null]"],
  ["an event whose name is true", "42[true]"],
  ["the reserved name connect", '42["connect"]'],
  ["the reserved name connect_error", '42["connect_error"]'],
  ["the reserved name disconnect", '42["disconnect"]'],
  ["the reserved name disconnecting", '42["disconnecting"]'],
  ["the reserved name newListener", '42["newListener"]'],
  ["the reserved name removeListener", '42["removeListener"]'],
  ["an event without a payload", "42", "strict"],
  ["an empty message", "4", "strict"],
  ["an ack id with a space", '421 2["message"]', "strict"],
  ["an ack id of 400 digits", `42${"9".repeat(400)}["message"]`, "strict"],
  ["an ack id just too large", '429007199254740992["message"]', "strict"],
  ["an ack without an id", "43[]", "strict"],
  ["JSON that ends early", '42["message"'],
  ["JSON with something behind it", '42["message"]x'],
  ["JSON with NaN", '42["message",NaN]'],
  ["JSON behind a byte order mark", '42\ufeff["message"]', "strict"],
  ["JSON nested 8000 deep", `42["message",${"[".repeat(8000)}${"]".repeat(8000)}]`, "strict"],
  ["a CONNECT to where it is connected", "40"],
  ["a CONNECT with an array", "40/custom,[]"],
  ["a CONNECT with a string", '40/custom,"x"'],
  ["a CONNECT with a number", "40/custom,1", "strict"],
  ["a DISCONNECT with a payload", '41{"a":1}'],
  ["a CONNECT_ERROR", '44{"message":"x"}'],
  ["an event for a namespace not joined", '42/custom,["message"]'],
  ["an ack for a namespace not joined", "43/custom,1[]"],
  ["more attachments than ten", `4511-["message",${Array.from({ length: 11 }, (_, i) => `{"_placeholder":true,"num":${i}}`)}]`],
  ["a thousand million attachments", '45999999999-["message"]'],
  ["a count of none", '450-["message"]'],
  ["a count with a leading zero", '4501-["message",{"_placeholder":true,"num":0}]', "strict"],
  ["a count with a sign", '45+1-["message",{"_placeholder":true,"num":0}]', "strict"],
  ["a count with an exponent", '451e0-["message",{"_placeholder":true,"num":0}]', "strict"],
  ["a count without its dash", '451["message",{"_placeholder":true,"num":0}]', "strict"],
  ["text between attachments", ['451-["message",{"_placeholder":true,"num":0}]', '42["message"]']],
  ["binary without a header", [Buffer.from([1])]],
  ["binary after its last attachment", ['451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1]), Buffer.from([2])]],
  ["a placeholder beyond the count", ['451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])]],
  ["a negative placeholder", ['451-["message",{"_placeholder":true,"num":-1}]', Buffer.from([1])]],
  ["half a placeholder", ['451-["message",{"_placeholder":true,"num":0.5}]', Buffer.from([1])], "strict"],
  ["a placeholder named splice", ['451-["message",{"_placeholder":true,"num":"splice"}]', Buffer.from([1])]],
  ["a placeholder twice", ['451-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', Buffer.from([1])], "strict"],
  ["an attachment nobody asks for", ['452-["message",{"_placeholder":true,"num":0}]', Buffer.from([1]), Buffer.from([2])], "strict"],
];

describe("what is no packet ends the connection, and nobody else notices", () => {
  for (const [name, sent, mark] of HOSTILE) {
    it(name, { skip: mark && oursOnly }, async () => {
      const ws = await connected();
      [sent].flat().forEach((data) => ws.send(data));
      await ws.closed();
      await neighbour();
    });
  }

  it("an event before any CONNECT", async () => {
    const ws = await session();
    ws.send('42["message"]');
    await ws.closed();
    await neighbour();
  });

  it("attachments before any CONNECT", async () => {
    const ws = await session();
    ws.send('451-["message",{"_placeholder":true,"num":0}]');
    ws.send(Buffer.from([1]));
    await ws.closed();
    await neighbour();
  });
});

describe("memory", () => {
  it("follows the bytes received, whatever is announced", async () => {
    await neighbour();
    const before = server.memory();
    const sockets = [];
    for (let i = 0; i < 100; i++) {
      const ws = await connected();
      // Ten attachments are promised, none comes.
      ws.send(`4510-["message",${Array.from({ length: 10 }, (_, n) => `{"_placeholder":true,"num":${n}}`)}]`);
      sockets.push(ws);
    }
    await neighbour();
    const grown = server.memory() - before;
    assert.ok(grown < 20e6, `${grown} bytes for 100 promises`);
    sockets.forEach((ws) => ws.close());
    await until(async () => (await server.stats()).sessions === 0, "no session");
  });

  it("does not grow by what one packet repeats", { skip: oursOnly }, async () => {
    const ws = await connected();
    ws.send(`451-["all-in",[],[],"news"${',{"_placeholder":true,"num":0}'.repeat(200)}]`);
    ws.send(Buffer.alloc(500_000));
    await ws.closed();
    assert.ok(server.memory() < 200e6);
    await neighbour();
  });

  it("is given back when many come and go", async () => {
    const round = async () => {
      const all = await Promise.all(Array.from({ length: 50 }, connected));
      all.forEach((ws) => ws.send(`42["message","${"x".repeat(50_000)}"]`));
      await Promise.all(all.map((ws) => ws.text()));
      all.forEach((ws) => ws.close());
      await until(async () => (await server.stats()).sessions === 0, "no session");
    };
    await round();
    await sleep(100);
    const before = server.memory();
    for (let i = 0; i < 8; i++) await round();
    const grown = server.memory() - before;
    assert.ok(grown < 40e6, `${grown} bytes after 400 sessions that are gone`);
  });
});
