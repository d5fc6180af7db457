// Engine.IO by hand: a WebSocket client that hides nothing, and the three requests of polling.
import { createRequire } from "node:module";
import { withTimeout } from "./fixture.mjs";

// The WebSocket library that npm socket.io brings along.
const { WebSocket } = createRequire(createRequire(import.meta.url).resolve("client4"))("ws");

/** A polling session: what its open packet says. */
export async function handshake(base, query = "") {
  const body = await (await fetch(`${base}?EIO=4&transport=polling${query}`)).text();
  return JSON.parse(body.slice(1));
}

export function poll(base, sid, headers = {}) {
  return withTimeout(fetch(`${base}?EIO=4&transport=polling&sid=${sid}`, { headers }), 5000, "a poll");
}

export function post(base, sid, body, headers = {}) {
  return withTimeout(fetch(`${base}?EIO=4&transport=polling&sid=${sid}`, { method: "POST", body, headers: { "content-type": "text/plain;charset=UTF-8", ...headers } }), 5000, "a post");
}

/** Opens a WebSocket; rejects with `{status, body}` when the server refuses. */
export function socket(url, options = {}) {
  const ws = new WebSocket(url.replace(/^http/, "ws"), { perMessageDeflate: false, ...options });
  const inbox = [];
  let wake = () => {};
  let ended;
  ws.on("message", (data, binary) => { inbox.push(binary ? data : data.toString()); wake(); });
  ws.on("close", (code) => { ended = { code }; wake(); });
  const client = {
    ws,
    send: (data) => ws.send(data),
    close: () => ws.close(),
    /** The next message that `wanted` accepts; others are thrown away. */
    message(wanted = () => true, ms = 5000) {
      const take = async () => {
        for (;;) {
          while (inbox.length) {
            const data = inbox.shift();
            if (wanted(data)) return data;
          }
          if (ended) throw new Error(`closed with ${ended.code} instead of a message`);
          await new Promise((resolve) => { wake = resolve; });
        }
      };
      return withTimeout(take(), ms, "a WebSocket message");
    },
    text: () => client.message(),
    /** Resolves to the close code when the connection is closed. */
    async closed(ms = 5000) {
      const wait = async () => {
        while (!ended) await new Promise((resolve) => { wake = resolve; });
        return ended.code;
      };
      return withTimeout(wait(), ms, "the end of a WebSocket");
    },
  };
  return withTimeout(new Promise((resolve, reject) => {
    ws.on("open", () => resolve(client));
    ws.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (chunk) => { body += chunk; }).on("end", () => reject(Object.assign(new Error(`refused: ${response.statusCode}`), { status: response.statusCode, body })));
    });
    ws.on("error", reject);
  }), 5000, "a WebSocket");
}
