import { Emitter } from "../emitter.js";
import { type Packet } from "./packet.js";
export declare class Encoder {
    /** One text, and after it the binaries it announces. */
    encode(packet: Packet): any[];
}
export declare class Decoder extends Emitter<Record<never, never>, Record<never, never>, {
    decoded: (packet: Packet) => void;
}> {
    private _pending;
    /** Takes one Engine.IO message; emits `decoded` when a packet is complete; throws if it never will be. */
    add(message: any): void;
    /** Forgets a half-received packet. */
    destroy(): void;
    private _read;
}
