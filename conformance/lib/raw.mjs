// Bytes on a TCP connection, without any library's opinion of what may be sent.
import { randomBytes } from "node:crypto";
import { createConnection } from "node:net";
import { until } from "./fixture.mjs";

/** A TCP connection: `received` grows, `ended` becomes true when the peer has closed or reset it. */
export function connect(port) {
  const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
  const raw = {
    socket,
    received: Buffer.alloc(0),
    ended: false,
    write: (data) => new Promise((resolve) => socket.write(data, () => resolve())),
    /** Waits for the head of an HTTP answer: `{status, headers, body}`; `{status: 0}` when the peer just closed. */
    async response(ms = 5000) {
      await until(() => raw.ended || raw.received.includes("\r\n\r\n"), "an HTTP answer", ms);
      return parse(raw.received);
    },
    /** Waits until the peer has ended the connection. */
    end: (ms = 5000) => until(() => raw.ended, "the end of the connection", ms),
    /** WebSocket frames received behind the handshake's answer. */
    frames: () => frames(raw.received.subarray(raw.received.indexOf("\r\n\r\n") + 4)),
    reset: () => socket.resetAndDestroy(),
    destroy: () => socket.destroy(),
  };
  socket.on("data", (data) => { raw.received = Buffer.concat([raw.received, data]); });
  socket.on("close", () => { raw.ended = true; }).on("end", () => { raw.ended = true; }).on("error", () => { raw.ended = true; });
  return raw;
}

function parse(bytes) {
  const text = bytes.toString("latin1");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
  const [head, body = ""] = text.split(/\r\n\r\n(.*)/s);
  const headers = Object.fromEntries(head.split("\r\n").slice(1).map((line) => line.split(/:\s*(.*)/s)).map(([name, value]) => [name.toLowerCase(), value]));
  return { status, headers, body };
}

/** A request that would be answered with 101, with lines replaced, added or (null) left out. */
export function upgradeRequest(path, changes = {}, { method = "GET", version = "HTTP/1.1", extra = [] } = {}) {
  const headers = {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...changes,
  };
  const lines = Object.entries(headers).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from(`${method} ${path} ${version}\r\n${[...lines, ...extra].join("\r\n")}\r\n\r\n`, "latin1");
}

/** A frame with every bit at the caller's will. `length` says a length that need not be true; `form` its size. */
export function frame(opcode, payload = "", { fin = true, rsv = 0, mask = true, length, form } = {}) {
  const data = Buffer.from(payload);
  const says = BigInt(length ?? data.length);
  const wide = form ?? (says < 126n ? 7 : says < 65536n ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = mask ? 0x80 : 0;
  if (wide === 7) head.push(bit | Number(says));
  else if (wide === 16) head.push(bit | 126, Number(says >> 8n) & 255, Number(says) & 255);
  else {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(says);
    head.push(bit | 127, ...bytes);
  }
  if (!mask) return Buffer.concat([Buffer.from(head), data]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, Buffer.from(data.map((byte, i) => byte ^ key[i & 3]))]);
}

export const close = (code, reason = "") => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return frame(8, Buffer.concat([bytes, Buffer.from(reason)]));
};

/** The frames a server sent: `{opcode, fin, payload}`. */
function frames(bytes) {
  const found = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    let length = bytes[at + 1] & 127;
    let data = at + 2;
    if (length === 126) { if (data + 2 > bytes.length) break; length = bytes.readUInt16BE(data); data += 2; }
    else if (length === 127) { if (data + 8 > bytes.length) break; length = Number(bytes.readBigUInt64BE(data)); data += 8; }
    if (data + length > bytes.length) break;
    found.push({ opcode: bytes[at] & 15, fin: bytes[at] >= 128, payload: bytes.subarray(data, data + length) });
    at = data + length;
  }
  return found;
}
