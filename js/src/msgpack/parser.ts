// The parser that writes packets as MessagePack, for servers with socket.io-msgpack-parser or one that detects it:
// `io({ parser })`. One binary message is one packet; binary needs no attachments.

import { Emitter } from "../emitter.js";
import { isPacketValid, PacketType, type Packet } from "../socket/packet.js";
import { decode, encode } from "./codec.js";

export class Encoder {
  encode({ type, nsp, data, id }: Packet): Uint8Array[] {
    const packet: Packet = { type, nsp };
    // Left out rather than undefined: not everybody knows an undefined in MessagePack.
    if (data !== undefined) packet.data = data;
    if (id !== undefined) packet.id = id;
    return [encode(packet)];
  }
}

export class Decoder extends Emitter<Record<never, never>, Record<never, never>, { decoded: (packet: Packet) => void }> {
  /** Takes one Engine.IO message; emits `decoded`; throws if it is no packet. */
  add(message: any): void {
    if (typeof message == "string") throw new Error("text: the server has another parser");
    const packet = decode(message);
    if (!packet || packet.type > PacketType.CONNECT_ERROR || !isPacketValid(packet)) throw new Error("invalid packet");
    this.emitReserved("decoded", packet);
  }

  destroy(): void {}
}
