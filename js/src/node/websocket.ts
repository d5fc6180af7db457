// WebSocket (RFC 6455) on Node's own modules: Node before 22 has none, and later ones take neither certificates nor
// agents. The client's side only, without compression; the surface is that of the browser's class as far as
// `engine/websocket.ts` uses it.

import { isUtf8 } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import type { SessionOptions } from "../engine/session.js";
import { WS } from "../engine/websocket.js";
import { root } from "../root.js";
import { soon } from "../timer.js";
import { request } from "./request.js";

const Buffer = root.Buffer;
const MAX_PAYLOAD = 100 * 1024 * 1024;
// How long a server may take to close the stream after the close frames.
const GOODBYE = 2000;

export class NodeWS extends WS {
  protected override takesBlobs = false;

  protected override socket(uri: string): WebSocket {
    return new NodeSocket(uri, this.opts) as any;
  }
}

class NodeSocket {
  binaryType = "arraybuffer";
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onerror: ((event: { message: string; error: Error }) => void) | null = null;

  private _request: any;
  private _socket: any;
  private _closed = false;
  private _closing = false;
  private _code = 1006;
  private _reason = "";
  // Bytes received and not understood yet; joined when a frame is whole, so that a large one is copied once.
  private _parts: any[] = [];
  private _held = 0;
  private _needed = 2;
  private _message: any[] = [];
  private _messageSize = 0;
  private _opcode = 0;
  private _max: number;

  constructor(
    readonly url: string,
    opts: SessionOptions,
  ) {
    this._max = opts.maxPayload || MAX_PAYLOAD;
    const key = randomBytes(16).toString("base64");
    const headers: { [name: string]: string } = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": key,
    };
    const protocols = ([] as string[]).concat(opts.protocols || []);
    if (protocols.length) headers["sec-websocket-protocol"] = protocols.join(",");
    if (opts.origin) headers.origin = opts.origin;
    const made = (this._request = request(url, "GET", headers, opts));
    made.on("error", (err: Error) => this._fail(err));
    made.on("response", (response: any) => {
      response.resume();
      this._fail(Object.assign(new Error("unexpected answer: status " + response.statusCode), { status: response.statusCode }));
    });
    made.on("upgrade", (response: any, socket: any, head: any) => {
      const expected = createHash("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
      const chosen = response.headers["sec-websocket-protocol"];
      this._socket = socket;
      if (this._closed) return socket.destroy();
      if (response.headers["sec-websocket-accept"] !== expected || (chosen && !protocols.includes(chosen)) || response.headers["sec-websocket-extensions"]) {
        return this._fail(new Error("not the answer of a WebSocket server"));
      }
      socket.setTimeout(0);
      socket.setNoDelay(true);
      if (opts.autoUnref) socket.unref();
      socket.on("data", (part: any) => this._received(part));
      socket.on("error", () => {});
      // Not half-open: who says no more is not listened to either.
      socket.on("end", () => socket.end());
      socket.on("close", () => this._ended());
      if (this.onopen) this.onopen();
      if (head.length) this._received(head);
    });
    made.end();
  }

  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (!this._socket || this._closing) return;
    if (typeof data == "string") this._frame(1, Buffer.from(data));
    else if (ArrayBuffer.isView(data)) this._frame(2, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    else this._frame(2, Buffer.from(data));
  }

  close(code = 1000): void {
    if (!this._socket) {
      this._request.destroy();
      return this._ended();
    }
    if (!this._closing) this._sayGoodbye(code);
  }

  private _sayGoodbye(code: number): void {
    this._frame(8, Buffer.from([code >> 8, code & 255]));
    this._closing = true;
    const timer: any = setTimeout(() => this._socket.destroy(), GOODBYE);
    timer.unref();
  }

  private _frame(opcode: number, payload: any): void {
    const size = payload.length;
    const wide = size < 126 ? 0 : size < 0x10000 ? 2 : 8;
    const frame = Buffer.allocUnsafe(6 + wide + size);
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (wide ? (wide == 2 ? 126 : 127) : size);
    if (wide == 2) frame.writeUInt16BE(size, 2);
    else if (wide) frame.writeBigUInt64BE(BigInt(size), 2);
    const mask = randomBytes(4);
    mask.copy(frame, 2 + wide);
    for (let i = 0, at = 6 + wide; i < size; i++) frame[at + i] = payload[i] ^ mask[i & 3];
    this._socket.write(frame);
  }

  private _received(part: any): void {
    this._parts.push(part);
    this._held += part.length;
    while (this._held >= this._needed && !this._closed) {
      const bytes = this._parts.length == 1 ? this._parts[0] : Buffer.concat(this._parts, this._held);
      const used = this._read(bytes);
      this._parts = used < bytes.length ? [bytes.subarray(used)] : [];
      this._held = bytes.length - used;
      if (!used) return;
      this._needed = 2;
    }
  }

  /** Reads one frame; 0 if it is not whole yet, and then `_needed` says how much it takes. */
  private _read(bytes: any): number {
    const opcode = bytes[0] & 15;
    const final = bytes[0] & 0x80;
    let size = bytes[1];
    // Extensions were not agreed on, and servers do not mask.
    if (bytes[0] & 0x70 || size & 0x80) return this._violated(1002);
    if (opcode > 7 && (!final || size > 125)) return this._violated(1002);
    const wide = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (bytes.length < 2 + wide) return this._need(2 + wide);
    if (wide == 2) size = bytes.readUInt16BE(2);
    else if (wide) size = Number(bytes.readBigUInt64BE(2));
    if (size + this._messageSize > this._max) return this._violated(1009);
    const end = 2 + wide + size;
    if (bytes.length < end) return this._need(end);
    this._took(opcode, !!final, bytes.subarray(2 + wide, end));
    return end;
  }

  private _need(count: number): number {
    this._needed = count;
    return 0;
  }

  private _took(opcode: number, final: boolean, payload: any): void {
    if (opcode == 8) {
      this._code = payload.length > 1 ? payload.readUInt16BE(0) : 1005;
      this._reason = payload.toString("utf8", 2);
      if (!this._closing) this._sayGoodbye(payload.length > 1 ? this._code : 1000);
      this._socket.end();
      // Not before what came in the same piece has been handed out.
      soon(() => this._ended());
    } else if (opcode == 9) {
      if (!this._closing) this._frame(10, payload);
    } else if (opcode < 3 && (opcode > 0) != this._message.length > 0) {
      if (opcode) this._opcode = opcode;
      this._message.push(payload);
      this._messageSize += payload.length;
      if (final) this._whole();
    } else if (opcode != 10) this._violated(1002);
  }

  private _whole(): void {
    const parts = this._message;
    const bytes = parts.length == 1 ? parts[0] : Buffer.concat(parts);
    this._message = [];
    this._messageSize = 0;
    if (this._opcode == 1 && !isUtf8(bytes)) return void this._violated(1007);
    if (!this.onmessage) return;
    // A copy: what was received lies in a buffer that Node uses for others too.
    const data = this._opcode == 1 ? bytes.toString() : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    this.onmessage({ data });
  }

  private _violated(code: number): number {
    this._code = code;
    if (!this._closing) this._sayGoodbye(code);
    const err = new Error(code == 1009 ? "message larger than `maxPayload`" : "the server breaks the rules of WebSocket");
    this._fail(err);
    return 0;
  }

  private _fail(error: Error): void {
    if (this._closed) return;
    if (this.onerror) this.onerror({ message: error.message, error });
    if (this._socket) this._socket.end();
    this._ended();
  }

  private _ended(): void {
    if (this._closed) return;
    this._closed = true;
    if (this.onclose) this.onclose({ code: this._code, reason: this._reason, wasClean: this._code != 1006 });
  }
}
