/** The parts of an address. */
export interface Address {
    /** `http`, `https`, `ws` or `wss`. */
    protocol: string;
    /** The name or number of the host, without the brackets of IPv6. */
    host: string;
    port: string;
    /** The namespace, `/` if none. */
    path: string;
    /** What follows `?`, not decoded, or `""`. */
    query: string;
    /** Equal for addresses that share a connection. */
    id: string;
    /** Where the engine connects to. */
    href: string;
}
/** Reads an address; `page` fills in what is missing. Throws if it is overlong or not an address. */
export declare function address(uri: string | undefined | null, path?: string, page?: Location | undefined): Address;
/** Whether a protocol is encrypted. */
export declare function isSecure(protocol: string): boolean;
/** A host as it stands in a URL. */
export declare function bracketed(host: string): string;
/** `{a: 1}` to `a=1`. */
export declare function encodeQuery(query: Record<string, unknown>): string;
/** `a=1&b` to `{a: "1", b: ""}`. */
export declare function decodeQuery(text: string): Record<string, string>;
