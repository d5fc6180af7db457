import { Polling } from "../engine/polling.js";
export declare class NodePolling extends Polling {
    private _get;
    protected abort(): void;
    protected request(body?: string): Promise<string>;
}
