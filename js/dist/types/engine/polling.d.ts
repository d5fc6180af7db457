import { type Packet } from "./packet.js";
import { Transport, TransportError } from "./transport.js";
export declare abstract class Polling extends Transport {
    private _polling;
    private _paused;
    get name(): string;
    protected doOpen(): void;
    /** Lets the waiting GET and the running POST end; the server answers the GET as soon as it knows. */
    pause(paused: () => void): void;
    resume(): void;
    /** The body of the answer to a GET, or to a POST of `body`; rejects with the `TransportError` to report. */
    protected abstract request(body?: string): Promise<string>;
    /** Breaks off the waiting GET. */
    protected abstract abort(): void;
    protected doClose(): void;
    protected write(packets: Packet[]): void;
    private _poll;
    private _received;
    private _rest;
    private _failed;
    /** Where the next request goes. */
    protected uri(): string;
    /** What a failed request is reported as; `body` tells a POST from a GET, and `answer` is the text it got. */
    protected failure(body: string | undefined, description: any, context: any, answer?: string): TransportError;
}
