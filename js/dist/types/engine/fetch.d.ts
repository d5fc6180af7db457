import { Polling } from "./polling.js";
export declare class Fetch extends Polling {
    private _abort;
    protected abort(): void;
    protected request(body?: string): Promise<string>;
}
