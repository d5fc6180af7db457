/** What one Engine.IO packet may carry. */
export type RawData = any;
/** The types, in the order of their digits. */
declare const TYPES: readonly ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
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
/** Whether a value travels as bytes. */
export declare function isBinary(value: unknown): value is ArrayBuffer | ArrayBufferView | Blob;
/** A packet as a WebSocket sends it, or as an element of a payload (`binary` false). Blobs must be loaded for the latter. */
export declare function encodePacket(packet: Packet, binary: boolean): string | ArrayBuffer | ArrayBufferView | Blob;
/** What a WebSocket received. */
export declare function decodePacket(wire: RawData, binaryType?: BinaryType): Packet;
/** Several packets as one polling body. */
export declare function encodePayload(packets: Packet[]): string;
/** The packets of a polling body, up to and including the first malformed one. */
export declare function decodePayload(text: string, binaryType?: BinaryType): Packet[];
/**
 * Base64 needs the bytes at hand and a Blob has them elsewhere: gives back a promise while some have
 * to be fetched, nothing if there are none. The packets keep their places, so order is kept.
 */
export declare function loadBlobs(packets: Packet[]): Promise<unknown> | undefined;
/** How many bytes a packet will take in a polling body, near enough. */
export declare function byteLength(data: RawData): number;
export {};
