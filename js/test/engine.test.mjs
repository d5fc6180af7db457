// Engine.IO packets and payloads against what the reference's parser was seen to do.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as engine from "../.build/engine/packet.js";
import { bytes, revive, wireText } from "./vectors.mjs";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../vectors/protocol/${name}.json`, import.meta.url))).cases;
const plain = (packet) => {
  const { type, data } = packet;
  return data === undefined ? { type } : { type, data: engine.isBinary(data) ? { $b64: bytes(data).toString("base64") } : data };
};
// Base64 that is none is malformed here; the reference skips what it does not know.
const STRICTER = new Set(['decode "b!!!!"', 'decode "b_-8="']);

test("packets, encoded", async (t) => {
  for (const each of vectors("eio4-packet").filter((each) => each.op === "encode")) {
    await t.test(each.name, () => {
      const wire = engine.encodePacket(revive(each.packet), each.supports_binary);
      if (each.wire.b64 !== undefined) assert.equal(bytes(wire).toString("base64"), each.wire.b64);
      else assert.equal(wire, wireText(each.wire));
    });
  }
});

test("packets, decoded", async (t) => {
  for (const each of vectors("eio4-packet").filter((each) => each.op === "decode")) {
    await t.test(each.name, () => {
      const wire = each.wire.b64 === undefined ? wireText(each.wire) : new Uint8Array(Buffer.from(each.wire.b64, "base64")).buffer;
      const expected = STRICTER.has(each.name) ? { type: "error", data: "parser error" } : each.packet;
      assert.deepEqual(plain(engine.decodePacket(wire)), expected);
    });
  }
});

test("payloads", async (t) => {
  for (const each of vectors("eio4-payload")) {
    await t.test(each.name, () => {
      if (each.op === "encode") assert.equal(engine.encodePayload(each.packets.map(revive)), wireText(each.wire));
      else assert.deepEqual(engine.decodePayload(wireText(each.wire)).map(plain), each.packets);
    });
  }
});

test("blobs are loaded before they become base64", async () => {
  const packets = [{ type: "message", data: "a" }, { type: "message", data: new Blob(["bc"]) }];
  await engine.loadBlobs(packets);
  assert.equal(engine.encodePayload(packets), "4a\x1ebYmM=");
  assert.equal(engine.loadBlobs(packets), undefined);
});

test("sizes in bytes", () => {
  for (const text of ["", "abc", "é", "€", "😀", "a€😀"]) assert.equal(engine.byteLength(text), Buffer.byteLength(text), text);
  assert.equal(engine.byteLength(new ArrayBuffer(3)), 4);
});
