import { type TimerOptions } from "../timer.js";
export declare class Heartbeat {
    private _options;
    private _missed;
    private _patience;
    private _deadline;
    private _stopTimer;
    constructor(_options: TimerOptions, _missed: () => void);
    /** Takes the times of the handshake. A server that talks nonsense gets the protocol's own defaults. */
    agree({ pingInterval, pingTimeout }: {
        pingInterval?: unknown;
        pingTimeout?: unknown;
    }): void;
    /** The server was heard of: begins to wait for its next ping. */
    expect(): void;
    stop(): void;
    /**
     * Whether the ping is overdue by the clock; the first time it is, `missed` is called soon. Timers sleep
     * with the machine, so this is asked before anything is sent: after a sleep it would go into the void.
     */
    expired(): boolean;
}
export declare function positive(value: unknown, otherwise: number): number;
