import { Emitter } from "../emitter.js";
import { type Packet } from "../socket/packet.js";
export declare class Encoder {
    encode({ type, nsp, data, id }: Packet): Uint8Array[];
}
export declare class Decoder extends Emitter<Record<never, never>, Record<never, never>, {
    decoded: (packet: Packet) => void;
}> {
    /** Takes one Engine.IO message; emits `decoded`; throws if it is no packet. */
    add(message: any): void;
    destroy(): void;
}
