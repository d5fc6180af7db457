import { Polling } from "./polling.js";
export declare class XHR extends Polling {
    private _get;
    protected abort(): void;
    protected request(body?: string): Promise<string>;
}
