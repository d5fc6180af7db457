// The default parser: packets to JSON text with binary beside it, and back. Everything a server could
// do to a client by a malformed packet ends here, as an exception that closes the connection.

import { isBinary } from "../engine/packet.js";
import { Emitter } from "../emitter.js";
import { isPacketValid, PacketType, type Packet } from "./packet.js";

// Most binaries one packet may announce.
const MAX_ATTACHMENTS = 10;
// Nobody nests this deep by hand, and each level is a stack frame.
const MAX_DEPTH = 128;

export class Encoder {
  /** One text, and after it the binaries it announces. */
  encode(packet: Packet): any[] {
    const { nsp, data, id } = packet;
    const attachments: any[] = [];
    const carries = packet.type == PacketType.EVENT || packet.type == PacketType.ACK;
    // One walk both finds the binaries and writes the text. `this[key]` is the value before its toJSON:
    // a Buffer would arrive here as a list of numbers.
    const json =
      data == null
        ? ""
        : JSON.stringify(data, function (this: any, key, value) {
            const raw = this[key];
            return carries && isBinary(raw) ? { "_placeholder": true, "num": attachments.push(raw) - 1 } : value;
          });
    const count = attachments.length;
    const type = count ? packet.type + 3 : packet.type; // EVENT → BINARY_EVENT, ACK → BINARY_ACK
    const text =
      type + (count ? count + "-" : "") + (nsp && nsp != "/" ? nsp + "," : "") + (id != null ? id : "") + json;
    return [text, ...attachments];
  }
}

interface Pending {
  packet: Packet;
  attachments: any[];
  count: number;
}

export class Decoder extends Emitter<Record<never, never>, Record<never, never>, { decoded: (packet: Packet) => void }> {
  private _pending: Pending | undefined;
  /** Takes one Engine.IO message; emits `decoded` when a packet is complete; throws if it never will be. */
  add(message: any): void {
    const pending = this._pending;
    if (typeof message == "string") {
      if (pending) throw new Error("unexpected text");
      const { packet, count } = this._read(message);
      if (count) this._pending = { packet, attachments: [], count };
      else this.emitReserved("decoded", packet);
    } else if (isBinary(message)) {
      if (!pending) throw new Error("unexpected binary");
      if (pending.attachments.push(message) < pending.count) return;
      this._pending = undefined;
      const { packet, attachments } = pending;
      packet.data = fill(packet.data, attachments, 0);
      if (attachments.some((each) => each !== USED)) throw new Error("illegal attachments");
      this.emitReserved("decoded", packet);
    } else {
      throw new Error("unexpected message");
    }
  }

  /** Forgets a half-received packet. */
  destroy(): void {
    this._pending = undefined;
  }

  private _read(text: string): { packet: Packet; count: number } {
    // type [count "-"] [namespace ","] [id] [json]
    const parts = /^([0-6])(?:([1-9]\d*)-)?(\/[^,]*(?:,|$))?(\d+)?(?!\s)/.exec(text);
    if (!parts) throw new Error("unknown packet type");
    const wire = +parts[1]!;
    const binary = wire >= PacketType.BINARY_EVENT;
    const count = +(parts[2] || 0);
    if (binary != !!count || count > MAX_ATTACHMENTS) throw new Error("illegal attachments");
    const packet: Packet = { type: binary ? wire - 3 : wire, nsp: (parts[3] || "/").replace(/,$/, "") };
    if (parts[4]) packet.id = +parts[4];
    const json = text.slice(parts[0].length);
    if (json) packet.data = JSON.parse(json);
    if (!isPacketValid(packet)) throw new Error("invalid payload");
    return { packet, count };
  }
}

// What is left in the list of attachments where one was.
const USED = {};

/** Puts the attachments where their placeholders are; each exactly once, or a small packet could grow large. */
function fill(value: any, attachments: any[], depth: number): any {
  if (typeof value != "object" || value === null) return value;
  if (depth > MAX_DEPTH) throw new Error("nested too deep");
  if (value["_placeholder"] === true) {
    const at = value["num"];
    const bytes = Number.isInteger(at) && attachments[at];
    if (!bytes || bytes === USED) throw new Error("illegal attachments");
    attachments[at] = USED;
    return bytes;
  }
  for (const key of Object.keys(value)) value[key] = fill(value[key], attachments, depth + 1);
  return value;
}
