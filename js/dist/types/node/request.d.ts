import type { SessionOptions } from "../engine/session.js";
/** Begins a request; the caller ends it. Redirects are not followed: an answer must not carry the session elsewhere. */
export declare function request(uri: string, method: string, headers: {
    [name: string]: string;
}, opts: SessionOptions): any;
