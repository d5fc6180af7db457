// Engine.IO 4 packets as text, binary and polling payloads. No I/O.

import { root } from "../root.js";

/** What one Engine.IO packet may carry. */
export type RawData = any;

/** The types, in the order of their digits. */
const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"] as const;

export type PacketType = (typeof TYPES)[number] | "error";

/** How a packet is to be sent. */
export interface WriteOptions {
  /** Whether compression would be worth while (default true). */
  compress?: boolean;
  volatile?: boolean;
}

export interface Packet {
  type: PacketType;
  data?: RawData;
  options?: WriteOptions;
}

/** How received binary is handed to the application. */
export type BinaryType = "arraybuffer" | "blob" | "nodebuffer";

const SEPARATOR = "\x1e";
const MALFORMED: Packet = { type: "error", data: "parser error" };

/** Whether a value travels as bytes. */
export function isBinary(value: unknown): value is ArrayBuffer | ArrayBufferView | Blob {
  return (
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    (typeof Blob == "function" && value instanceof Blob)
  );
}

/** A packet as a WebSocket sends it, or as an element of a payload (`binary` false). Blobs must be loaded for the latter. */
export function encodePacket(packet: Packet, binary: boolean): string | ArrayBuffer | ArrayBufferView | Blob {
  const data = packet.data;
  if (isBinary(data)) return binary ? data : "b" + toBase64(data as ArrayBuffer | ArrayBufferView);
  return "" + TYPES.indexOf(packet.type as any) + (data || "");
}

/** What a WebSocket received. */
export function decodePacket(wire: RawData, binaryType?: BinaryType): Packet {
  if (typeof wire != "string") return { type: "message", data: asBinaryType(wire, binaryType) };
  if (wire[0] == "b") {
    try {
      return { type: "message", data: asBinaryType(fromBase64(wire.slice(1)), binaryType) };
    } catch {
      return MALFORMED;
    }
  }
  const type = /^[0-6]/.test(wire) && TYPES[+wire[0]!];
  if (!type) return MALFORMED;
  return wire.length > 1 ? { type, data: wire.slice(1) } : { type };
}

/** Several packets as one polling body. */
export function encodePayload(packets: Packet[]): string {
  return packets.map((packet) => encodePacket(packet, false)).join(SEPARATOR);
}

/** The packets of a polling body, up to and including the first malformed one. */
export function decodePayload(text: string, binaryType?: BinaryType): Packet[] {
  const packets: Packet[] = [];
  for (const part of text.split(SEPARATOR)) {
    const packet = decodePacket(part, binaryType);
    packets.push(packet);
    if (packet.type == "error") break;
  }
  return packets;
}

/**
 * Base64 needs the bytes at hand and a Blob has them elsewhere: gives back a promise while some have
 * to be fetched, nothing if there are none. The packets keep their places, so order is kept.
 */
export function loadBlobs(packets: Packet[]): Promise<unknown> | undefined {
  const blobs = packets.filter((packet) => typeof Blob == "function" && packet.data instanceof Blob);
  if (!blobs.length) return;
  return Promise.all(
    // Response rather than blob.arrayBuffer(): the latter is two years younger in Safari.
    blobs.map((packet) => new Response(packet.data).arrayBuffer().then((bytes) => (packet.data = bytes))),
  );
}

/** How many bytes a packet will take in a polling body, near enough. */
export function byteLength(data: RawData): number {
  if (typeof data != "string") return Math.ceil((data.byteLength || data.size || 0) * 1.33);
  let length = data.length;
  for (let i = 0; i < data.length; i++) {
    const unit = data.charCodeAt(i);
    // A surrogate is half of four bytes.
    if (unit >= 0x80) length += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return length;
}

function asBinaryType(bytes: RawData, binaryType?: BinaryType): RawData {
  const buffer = root.Buffer;
  if (binaryType == "nodebuffer" && buffer && bytes instanceof ArrayBuffer) return buffer.from(bytes);
  if (binaryType == "blob" && !(bytes instanceof Blob)) return new Blob([bytes]);
  return bytes;
}

function toBase64(data: ArrayBuffer | ArrayBufferView): string {
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
  let text = "";
  // In pieces: each is spread over the stack as arguments.
  for (let i = 0; i < bytes.length; i += 0x4000) {
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + 0x4000) as any);
  }
  return btoa(text);
}

function fromBase64(text: string): ArrayBuffer {
  const decoded = atob(text);
  const bytes = new Uint8Array(decoded.length);
  for (let i = 0; i < decoded.length; i++) bytes[i] = decoded.charCodeAt(i);
  return bytes.buffer;
}
