/** A value as MessagePack. Throws for what cannot be written: a BigInt, a Blob, a circle. */
export declare function encode(value: unknown): Uint8Array;
/** The value that MessagePack holds; throws if it holds none, or more than one. */
export declare function decode(wire: ArrayBuffer | Uint8Array): any;
