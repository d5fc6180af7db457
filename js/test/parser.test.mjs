// Socket.IO packets against what the reference's parser was seen to do, and what we refuse beyond it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isBinary } from "../.build/engine/packet.js";
import { isPacketValid } from "../.build/socket/packet.js";
import { Decoder, Encoder } from "../.build/socket/parser.js";
import { bytes, revive, wireText } from "./vectors.mjs";

const { cases } = JSON.parse(readFileSync(new URL("../../vectors/protocol/sio5-packet.json", import.meta.url)));

// What the reference lets pass and we refuse; the ids are those of the list of threats (F).
const STRICTER = {
  'decode "01"': "F11: CONNECT with an id",
  'decode "2"': "F11: an event without a name",
  'decode "3"': "F11: an ack without a list",
  'decode "30"': "F11: an ack without a list",
  'decode "3[]"': "F11: an ack without an id",
  'decode ""': "F11: nothing at all",
  'decode "2 [\\"sp\\"]"': "F10: a space is no digit",
  'decode "2 5[\\"sp\\"]"': "F10: a space is no digit",
  'decode "299999999999999999999[\\"big\\"]"': "F10: beyond 2^53",
  'decode "51-"': "F11: an event without a name",
  'decode "51e0-[\\"x\\"]"': "F1: digits only",
  "attachment used twice": "F5: a small packet must not grow",
  "attachment never referenced": "F5: each exactly once",
  "10 attachments": "F5: each exactly once",
  "11 attachments with maxAttachments 11": "F5: each exactly once",
  "_placeholder not strictly true": "F5: each exactly once",
  "placeholder float index": "F4: an integer",
};

const plain = (value) => {
  if (isBinary(value)) return { $b64: bytes(value).toString("base64") };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  }
  return value;
};

function decodeAll(wire, options) {
  const decoder = new Decoder(options);
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  let threw;
  try {
    for (const each of wire) decoder.add(each.b64 === undefined ? wireText(each) : Buffer.from(each.b64, "base64"));
  } catch (err) {
    threw = err;
  }
  return { packets, threw };
}

test("encoded", async (t) => {
  for (const each of cases.filter((each) => each.op === "encode")) {
    await t.test(each.name, () => {
      const packet = revive(each.packet);
      const wire = new Encoder().encode(packet).map((part) => (isBinary(part) ? { b64: bytes(part).toString("base64") } : { text: part }));
      assert.deepEqual(wire, each.wire);
      assert.equal(isPacketValid(packet), each.valid);
    });
  }
});

test("decoded", async (t) => {
  const stricter = new Set(Object.keys(STRICTER));
  for (const each of cases.filter((each) => each.op === "decode")) {
    await t.test(each.name, () => {
      const { packets, threw } = decodeAll(each.wire, each.opts);
      if (stricter.delete(each.name)) {
        assert.ok(threw, STRICTER[each.name]);
        assert.deepEqual(packets, []);
        return;
      }
      assert.equal(!!threw, !!each.throws, `${threw} — ${each.throws}`);
      assert.deepEqual(packets.map(plain), plain(revive(each.packets)));
    });
  }
  assert.deepEqual([...stricter], [], "every deviation is a vector");
});

test("there and back: binary of every kind, anywhere", () => {
  const buffer = new Uint8Array([1, 2, 3, 4]);
  const data = ["e", { a: [buffer, { b: new Uint16Array([5, 6]) }], c: buffer.buffer, d: new DataView(buffer.buffer, 1, 2) }, Buffer.from("x")];
  const wire = new Encoder().encode({ type: 2, nsp: "/n", id: 7, data });
  assert.equal(wire.length, 6);
  const { packets } = decodeAll(wire.map((each) => (typeof each === "string" ? { text: each } : { b64: bytes(each).toString("base64") })));
  assert.deepEqual(plain(packets[0]), { type: 2, nsp: "/n", id: 7, data: plain(data) });
});

test("a Buffer is binary although it has a toJSON, and what else has one is asked", () => {
  const data = ["e", Buffer.from("a"), { toJSON: () => "said so" }];
  assert.equal(new Encoder().encode({ type: 2, nsp: "/", data })[0], '51-["e",{"_placeholder":true,"num":0},"said so"]');
});

test("names of the prototype are data", () => {
  const { packets } = decodeAll([{ text: '51-["e",{"__proto__":{"polluted":1},"constructor":{"_placeholder":true,"num":0}}]' }, { b64: "AA==" }]);
  assert.equal({}.polluted, undefined);
  assert.ok(Object.hasOwn(packets[0].data[1], "__proto__"));
  assert.ok(isBinary(packets[0].data[1].constructor));
});

test("nesting is bounded where there are placeholders", () => {
  const deep = "[".repeat(5000) + "]".repeat(5000);
  assert.match(String(decodeAll([{ text: `51-["e",${deep}]` }, { b64: "AA==" }]).threw), /deep/);
});

test("the number of attachments is bounded", () => {
  const wire = (n) => {
    const [text, ...attachments] = new Encoder().encode({ type: 2, nsp: "/", data: ["e", ...Array.from({ length: n }, () => Buffer.from("x"))] });
    return [{ text }, ...attachments.map(() => ({ b64: "eA==" }))];
  };
  assert.equal(decodeAll(wire(10)).packets[0].data.length, 11);
  assert.ok(decodeAll(wire(11)).threw);
});

test("a half packet is forgotten", () => {
  const decoder = new Decoder();
  decoder.add('51-["e",{"_placeholder":true,"num":0}]');
  decoder.destroy();
  assert.throws(() => decoder.add(Buffer.from("x")));
});
