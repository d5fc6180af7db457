// The WebSocket that Node's entry brings, against a server that says what a test wants it to say.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Cookies } from "../.build/node/cookies.js";
import { NodeWS } from "../.build/node/websocket.js";
import { next, until, within } from "./fixture.mjs";

/** An open transport, and the bare stream at the other end; `received` holds the frames that were sent, unmasked. */
async function pair(t, { accept, headers = "", head = [], ...options } = {}) {
  const http = createServer((request, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
  await once(http, "listening");
  const received = [];
  const there = new Promise((resolve) =>
    http.on("upgrade", (request, stream) => {
      const key = createHash("sha1").update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
      stream.write(Buffer.concat([Buffer.from(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept ?? key}\r\n${headers}\r\n`), Buffer.from(head)]));
      let bytes = Buffer.alloc(0);
      stream.on("error", () => {});
      stream.on("data", (part) => {
        bytes = Buffer.concat([bytes, part]);
        for (;;) {
          if (bytes.length < 6) return;
          assert.ok(bytes[1] & 0x80, "clients mask");
          let [size, at] = [bytes[1] & 127, 2];
          if (size === 126) [size, at] = [bytes.readUInt16BE(2), 4];
          else if (size === 127) [size, at] = [Number(bytes.readBigUInt64BE(2)), 10];
          if (bytes.length < at + 4 + size) return;
          const mask = bytes.subarray(at, at + 4);
          received.push({ opcode: bytes[0], payload: Buffer.from(bytes.subarray(at + 4, at + 4 + size).map((byte, i) => byte ^ mask[i & 3])) });
          bytes = bytes.subarray(at + 4 + size);
        }
      });
      resolve(stream);
    }),
  );
  const ws = new NodeWS({ hostname: "127.0.0.1", port: http.address().port, path: "/", query: {}, binaryType: "arraybuffer", ...options });
  const seen = [];
  for (const event of ["open", "packet", "error", "close"]) ws.on(event, (about) => seen.push([event, about]));
  t.after(() => (ws.close(), http.closeAllConnections(), http.close()));
  ws.open();
  return { ws, seen, received, stream: await within(3000, "the upgrade", there), http };
}

const frame = (opcode, payload, { size = payload.length } = {}) => Buffer.concat([Buffer.from(size < 126 ? [opcode, size] : [opcode, 126, size >> 8, size & 255]), Buffer.from(payload)]);
const text = (payload, opcode = 0x81) => frame(opcode, Buffer.from(payload));
const packets = (seen) => seen.filter(([event]) => event === "packet").map(([, packet]) => packet.data);

test("whole, in pieces, in fragments, with pings between, and along with the answer", async (t) => {
  const { ws, seen, received, stream } = await pair(t, { head: text("4with the head") });
  stream.write(Buffer.concat([text("4one"), text("4two")]));
  for (const byte of Buffer.concat([text("4" + "x".repeat(300)), text("4he", 0x01), frame(0x89, Buffer.from("ping")), text("l", 0x00), frame(0x8a, []), text("lo", 0x80)])) {
    stream.write(Buffer.from([byte]));
    if (Math.random() < 0.1) await new Promise(setImmediate);
  }
  stream.write(Buffer.concat([frame(0x82, Buffer.from([1, 2, 3])), text("4€😀")]));
  await until("all", () => packets(seen).length === 7);
  const [head, one, two, long, hello, binary, last] = packets(seen);
  assert.deepEqual([head, one, two, long.length, hello, [...new Uint8Array(binary)], last], ["with the head", "one", "two", 300, "hello", [1, 2, 3], "€😀"]);
  await until("the pong", () => received.length === 1);
  assert.deepEqual(received.map(({ opcode, payload }) => [opcode, String(payload)]), [[0x8a, "ping"]]);
  ws.send([{ type: "message", data: "x".repeat(200) }, { type: "message", data: "y".repeat(70000) }, { type: "message", data: Buffer.from("b") }, { type: "message", data: new Blob(["blob"]) }]);
  await until("what was sent", () => received.length === 5);
  assert.deepEqual(received.slice(1).map(({ opcode, payload }) => [opcode, payload.length]), [[0x81, 201], [0x81, 70001], [0x82, 1], [0x82, 4]]);
});

for (const [what, bytes, code] of [
  ["a masked frame", Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x34]), 1002],
  ["reserved bits", frame(0xc1, Buffer.from("4")), 1002],
  ["an opcode that is none", frame(0x83, Buffer.from("4")), 1002],
  ["a continuation of nothing", text("4", 0x80), 1002],
  ["a second beginning", Buffer.concat([text("4a", 0x01), text("4b")]), 1002],
  ["a ping in fragments", frame(0x09, []), 1002],
  ["a ping too long", frame(0x89, Buffer.alloc(126)), 1002],
  ["broken UTF-8", frame(0x81, Buffer.from([0x34, 0xff])), 1007],
  ["more than is taken", frame(0x81, Buffer.alloc(2000, 0x34)), 1009],
  ["more than is taken, in fragments", Buffer.concat([frame(0x01, Buffer.alloc(600, 0x34)), frame(0x80, Buffer.alloc(600, 0x34))]), 1009],
  ["a length beyond all bounds", Buffer.from([0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009],
]) {
  test(`a server that breaks the rules: ${what}`, async (t) => {
    const { seen, received, stream } = await pair(t, { maxPayload: 1000 });
    stream.write(bytes);
    await until("the end", () => seen.some(([event]) => event === "close"));
    assert.deepEqual(seen.map(([event]) => event).filter((event) => event !== "packet"), ["open", "error", "close"]);
    await until("the close frame", () => received.some(({ opcode }) => opcode === 0x88));
    assert.equal(received.find(({ opcode }) => opcode === 0x88).payload.readUInt16BE(0), code);
    assert.deepEqual(packets(seen), []);
  });
}

test("closing: by the server, by us, and by a cable", async (t) => {
  const served = await pair(t);
  served.stream.write(frame(0x88, Buffer.from([0x03, 0xe9, ...Buffer.from("bye")])));
  await until("the close", () => served.seen.some(([event]) => event === "close"));
  const { context } = served.seen.at(-1)[1];
  assert.deepEqual([context.code, context.reason, context.wasClean], [1001, "bye", true]);
  assert.equal(served.received[0].payload.readUInt16BE(0), 1001);

  const own = await pair(t);
  await until("the opening", () => own.seen.length === 1);
  own.ws.close();
  await until("our close frame", () => own.received.length === 1);
  assert.equal(own.received[0].opcode, 0x88);

  const cut = await pair(t);
  await until("the opening", () => cut.seen.length === 1);
  cut.stream.resetAndDestroy();
  await until("the close", () => cut.seen.some(([event]) => event === "close"));
  assert.equal(cut.seen.at(-1)[1].context.code, 1006);
});

test("an answer that is none", async (t) => {
  for (const options of [{ accept: "wrong" }, { headers: "Sec-WebSocket-Extensions: permessage-deflate\r\n" }, { headers: "Sec-WebSocket-Protocol: unasked\r\n" }]) {
    const { ws, seen } = await pair(t, options);
    if (!seen.length) await next(ws, "error");
    assert.deepEqual(seen.map(([event]) => event), ["error", "close"]);
  }
});

test("cookies", () => {
  const jar = new Cookies();
  jar.take(["a=1", "b=2; Max-Age=10", "c=3; Expires=Thu, 01 Jan 1970 00:00:10 GMT", "d=4; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=100", "=none", "none"], 0);
  assert.equal(jar.header(5000), "a=1; b=2; c=3; d=4");
  assert.equal(jar.header(10001), "a=1; d=4");
  jar.take(["a=; Max-Age=0", "b=new"], 20000);
  assert.equal(jar.header(20000), "b=new; d=4");
});
