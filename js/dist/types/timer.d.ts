/** The options that say how timers are made. */
export interface TimerOptions {
    /** Use the timers found when this script was loaded, whatever replaced them since (default false). */
    useNativeTimers?: boolean;
    /** Node: waiting timers do not keep the process alive (default false). */
    autoUnref?: boolean;
}
/** Calls `then` after `ms` milliseconds; the answer cancels it. */
export declare function after(ms: number, options: TimerOptions, then: () => void): () => void;
/** Calls `then` when the running code is through, before any timer. */
export declare function soon(then: () => void): void;
