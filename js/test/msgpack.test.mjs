// The MessagePack parser against the one of npm, in both directions, and against nonsense.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { decode, encode } from "../.build/msgpack/codec.js";
import * as ours from "../.build/msgpack/parser.js";

const npm = createRequire(import.meta.url)("socket.io-msgpack-parser");
const notepack = createRequire(createRequire(import.meta.url).resolve("socket.io-msgpack-parser"))("notepack.io");

const NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1,
  -1, -0x20, -0x21, -0x80, -0x81, -0x8000, -0x8001, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1, 0.5, -1e-7, Infinity, NaN,
];
const VALUES = [
  ...NUMBERS, null, undefined, true, false, "", "a", "é€😀", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256), "x".repeat(70000),
  [], [1, [2, [undefined, null]]], Array.from({ length: 15 }, (_, at) => at), Array.from({ length: 16 }, (_, at) => at), Array.from({ length: 70000 }, () => 0),
  {}, { a: { b: [{ c: 1 }] } }, Object.fromEntries(Array.from({ length: 16 }, (_, at) => ["k" + at, at])), new Date(0), new Date(-1), new Date(1.7e12),
];

test("every value there and back, also by way of npm's", () => {
  for (const value of VALUES) {
    assert.deepEqual(decode(encode(value)), value);
    assert.deepEqual(notepack.decode(Buffer.from(encode(value))), value);
    assert.deepEqual(decode(notepack.encode(value)), value);
  }
  // npm's takes these for integers of 64 bits, and loses them.
  assert.ok(Object.is(decode(encode(-0)), -0));
  for (const value of [1e300, -1e300, 2 ** 64]) assert.equal(notepack.decode(Buffer.from(encode(value))), value);
});

test("what npm's writes, byte by byte", () => {
  for (const value of VALUES) {
    assert.ok(Buffer.from(encode(value)).equals(notepack.encode(value)), String(value).slice(0, 40));
  }
});

test("binary of every kind goes as bytes, and comes as what the platform hands out", () => {
  const raw = Uint8Array.from([1, 2, 3, 4]);
  for (const data of [raw, raw.buffer, Buffer.from(raw), new DataView(raw.buffer), new Uint16Array(raw.buffer)]) {
    assert.deepEqual(Buffer.from(encode([data])), Buffer.from([0x91, 0xc4, 4, 1, 2, 3, 4]));
  }
  assert.deepEqual(Buffer.from(encode(raw.subarray(1, 3))), Buffer.from([0xc4, 2, 2, 3]));
  assert.ok(decode(Uint8Array.from(encode(raw)).buffer) instanceof ArrayBuffer);
  assert.ok(Buffer.isBuffer(decode(Buffer.from(encode(raw)))));
  for (const size of [0, 255, 256, 65535, 65536]) assert.equal(decode(encode(new Uint8Array(size))).byteLength, size);
  // npm's writes an ArrayBuffer as an extension, in Node.
  assert.deepEqual(Buffer.from(decode(notepack.encode(raw.buffer))), Buffer.from(raw));
});

test("what cannot be written is refused, what has a toJSON is asked", () => {
  assert.throws(() => encode(1n), /bigint/);
  assert.throws(() => encode(new Blob(["x"])), /Blob/);
  const circle = [];
  circle.push(circle);
  assert.throws(() => encode(circle), /deep/);
  assert.deepEqual(decode(encode({ a: { toJSON: () => "json" }, f: () => {}, m: new Map([[1, 2]]) })), { a: "json", m: {} });
});

test("packets, both ways", () => {
  const through = (Decoder, wire) => {
    let packet;
    const decoder = new Decoder();
    decoder.on("decoded", (each) => (packet = each));
    decoder.add(wire);
    return packet;
  };
  for (const packet of [
    { type: 0, nsp: "/" }, { type: 0, nsp: "/a", data: { token: 1 } }, { type: 1, nsp: "/" },
    { type: 2, nsp: "/", data: ["e", 1, { b: Buffer.from("x") }] }, { type: 2, nsp: "/", data: ["e"], id: 7 },
    { type: 3, nsp: "/", data: [], id: 0 }, { type: 4, nsp: "/", data: { message: "no" } },
  ]) {
    assert.deepEqual(through(npm.Decoder, Buffer.from(new ours.Encoder().encode(packet)[0])), packet);
    const { id, data, ...rest } = through(ours.Decoder, new npm.Encoder().encode({ id: undefined, data: undefined, ...packet, options: { compress: true } })[0]);
    assert.deepEqual({ ...rest, ...(id === undefined ? {} : { id }), ...(data === undefined ? {} : { data }) }, { ...packet, options: { compress: true } });
  }
});

test("nonsense throws, and costs no more than its own size", () => {
  const decoder = new ours.Decoder();
  for (const hex of [
    "", "c1", "c4", "c4ff", "c6ffffffff", "ddffffffff", "dfffffffff", "dbffffffff", "a1", "a1ff", "d900ff", "cb00", "d4", "c7ff00", "0102",
    "91".repeat(5000) + "c0", "df000000ff" + "a161c0".repeat(3),
  ]) assert.throws(() => decoder.add(Buffer.from(hex, "hex")), undefined, hex.slice(0, 20));
  for (const value of [null, 7, [], {}, { type: 5, nsp: "/", data: ["e"] }, { type: 2, nsp: 7, data: ["e"] }, { type: 2, nsp: "/", data: {} }, { type: 2, nsp: "/", data: ["connect"] }, { type: 3, nsp: "/", data: [] }, { type: 2, nsp: "/", data: ["e"], id: 0.5 }]) {
    assert.throws(() => decoder.add(encode(value)), undefined, JSON.stringify(value));
  }
  assert.throws(() => decoder.add('2["text"]'));
  const tricky = decode(Buffer.from([0x81, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 1]));
  assert.equal(Object.getPrototypeOf(tricky), Object.prototype);
  assert.ok(Object.hasOwn(tricky, "__proto__"));
});
