/** Why a transport broke. */
export declare class TransportError extends Error {
    /** An HTTP status, or the event or error the platform gave. */
    readonly description: any;
    /** The response, where there is one. */
    readonly context: any;
    /** What is probably wrong and where to look, in a sentence for developers. */
    readonly hint?: string | undefined;
    readonly type = "TransportError";
    /** The error of the platform, where it gave one. */
    readonly cause?: unknown;
    constructor(message: string, 
    /** An HTTP status, or the event or error the platform gave. */
    description: any, 
    /** The response, where there is one. */
    context: any, 
    /** What is probably wrong and where to look, in a sentence for developers. */
    hint?: string | undefined);
}
/** More about a close. */
export interface CloseDetails {
    description: string;
    context?: any;
}
