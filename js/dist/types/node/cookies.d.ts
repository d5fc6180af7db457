export declare class Cookies {
    private _all;
    /** Takes the values of `Set-Cookie`. */
    take(headers: string[], now?: number): void;
    /** The value of `Cookie`, or `""`. */
    header(now?: number): string;
}
