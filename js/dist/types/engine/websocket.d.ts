import { type Packet } from "./packet.js";
import { Transport } from "./transport.js";
export declare class WS extends Transport {
    /** Whether the platform sends a Blob by itself. */
    protected takesBlobs: boolean;
    private _ws;
    get name(): string;
    protected doOpen(): void;
    /** The platform's own; the entry for Node has another. */
    protected socket(uri: string): WebSocket;
    protected doClose(): void;
    protected write(packets: Packet[]): void;
}
