// What the first argument of `io()` means: where the server is, and which namespace is wanted.

import { root } from "./root.js";

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
export function address(uri: string | undefined | null, path = "", page: Location | undefined = root.location): Address {
  // Two pages later one still knows that `about:blank` and `file:` have no host.
  const here = page && page.host ? page : undefined;
  const scheme = here ? here.protocol + "//" : "https://";
  let text = uri == null ? scheme + (here ? here.host : "localhost") : String(uri);
  if (text.length > 8000) throw new Error("URI too long");
  if (text.slice(0, 2) == "//") text = scheme + text.slice(2);
  else if (text[0] == "/") text = scheme + (here ? here.host : "localhost") + text;
  else if (!/^(https?|wss?):\/\//i.test(text)) text = scheme + text;

  const parts = /^(\w+):\/\/(?:[^/?#]*@)?(?:\[([^\]]*)\]|([^/?#:]*))(?::(\d+))?([^?#]*)(?:\?([^#]*))?/.exec(text);
  if (!parts) throw new Error("not an address: " + text);
  const protocol = parts[1]!.toLowerCase();
  const host = parts[2] || parts[3] || "localhost";
  const port = parts[4] || (isSecure(protocol) ? "443" : "80");
  const href = protocol + "://" + bracketed(host) + ":" + port;
  return { protocol, host, port, path: parts[5] || "/", query: parts[6] || "", id: href + path, href };
}

/** Whether a protocol is encrypted. */
export function isSecure(protocol: string): boolean {
  return protocol == "https" || protocol == "wss";
}

/** A host as it stands in a URL. */
export function bracketed(host: string): string {
  return host.includes(":") && host[0] != "[" ? "[" + host + "]" : host;
}

/** `{a: 1}` to `a=1`. */
export function encodeQuery(query: Record<string, unknown>): string {
  return Object.keys(query)
    .map((key) => encodeURIComponent(key) + "=" + encodeURIComponent(String(query[key])))
    .join("&");
}

/** `a=1&b` to `{a: "1", b: ""}`. */
export function decodeQuery(text: string): Record<string, string> {
  const query: Record<string, string> = Object.create(null);
  for (const pair of text.replace(/^\?/, "").split("&")) {
    const [key, value] = pair.split("=");
    if (key) query[decode(key)] = decode(value || "");
  }
  return query;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is no reason to refuse to connect
  }
}
