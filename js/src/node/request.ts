// Requests by Node's own modules, with the options that `fetch` has not: agents, certificates, local addresses.

import { request as http } from "node:http";
import { request as https } from "node:https";
import type { SessionOptions } from "../engine/session.js";
import { Cookies } from "./cookies.js";

const PASSED_ON = [
  "agent",
  "ca",
  "cert",
  "key",
  "pfx",
  "passphrase",
  "ciphers",
  "rejectUnauthorized",
  "checkServerIdentity",
  "localAddress",
  "family",
] as const;

// One jar for a session, so that its WebSocket has the cookies that polling was given (a sticky balancer's, say).
const jars = new WeakMap<object, Cookies>();

/** Begins a request; the caller ends it. Redirects are not followed: an answer must not carry the session elsewhere. */
export function request(uri: string, method: string, headers: { [name: string]: string }, opts: SessionOptions): any {
  const options: any = { method, headers: { ...headers, ...opts.extraHeaders } };
  for (const name of PASSED_ON) if (opts[name] !== undefined) options[name] = opts[name];
  const session = opts.withCredentials ? opts.socket : undefined;
  const jar = session && (jars.get(session) || new Cookies());
  if (jar) {
    jars.set(session!, jar);
    const cookie = jar.header();
    const own = Object.keys(options.headers).find((name) => name.toLowerCase() == "cookie");
    if (cookie) options.headers[own || "cookie"] = (own ? options.headers[own] + "; " : "") + cookie;
  }
  const made = (/^(https|wss):/.test(uri) ? https : http)(uri.replace(/^ws/, "http"), options);
  if (jar) {
    const take = (response: any) => jar.take(response.headers["set-cookie"] || []);
    made.on("response", take).on("upgrade", take);
  }
  if (opts.autoUnref) made.on("socket", (socket: any) => socket.unref());
  return made;
}
