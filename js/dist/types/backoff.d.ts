/** What a Backoff is made from; times in milliseconds. */
export interface BackoffOptions {
    /** The first delay (default 100). */
    min?: number;
    /** No delay is longer (default 10000). */
    max?: number;
    /** How far a delay may stray from the plan, 0 to 1; anything else means 0 (default 0). */
    jitter?: number;
}
export declare class Backoff {
    /** Attempts since the last success. */
    attempts: number;
    min: number;
    max: number;
    jitter: number;
    private _level;
    constructor(options?: BackoffOptions);
    /**
     * The delay before the next attempt: evenly spread over plan ± jitter, where the plan doubles each
     * time up to `max`. At the ceiling the upper half is cut off but the spread stays, so that a crowd
     * of clients does not come back in step.
     */
    duration(random?: () => number): number;
    /** Counts attempts from the start again. */
    reset(): void;
    /** The connection held long enough to be trusted: the next delay is the shortest again. */
    settle(): void;
    setMin(min: number): void;
    setMax(max: number): void;
    setJitter(jitter: number): void;
}
