// The session of the bundle that has WebSocket only: the same as `session.ts` seen from a Manager, with
// one transport that is there from the beginning to the end. No choice of transports, no upgrade, no base64.

import { address, decodeQuery, encodeQuery } from "../address.js";
import { Emitter } from "../emitter.js";
import { soon } from "../timer.js";
import { TransportError, type CloseDetails } from "./error.js";
import { Heartbeat } from "./heartbeat.js";
import { watchPage } from "./page.js";
import type { SessionOptions } from "./session.js";

export type { SessionOptions };

export class Session extends Emitter<Record<never, never>, Record<never, never>, any> {
  id: string | undefined;
  readyState: "opening" | "open" | "closed" = "opening";
  /** What a Socket asks of the transport, which here is the session itself. */
  readonly transport: { name: string; readonly writable: boolean };
  readonly opts: SessionOptions;

  private _ws: WebSocket | undefined;
  private _heartbeat: Heartbeat;
  private _stopListening: () => void;

  constructor(uri: string | undefined, options: SessionOptions) {
    super();
    const { host, href, query } = address(uri);
    this.opts = { hostname: host, ...options };
    const session = this;
    this.transport = {
      name: "websocket",
      get writable() {
        return session.readyState == "open";
      },
    };
    this._heartbeat = new Heartbeat(options, () => this._closed("ping timeout"));
    this._stopListening = watchPage(this.opts, {
      look: () => this.hasPingExpired(),
      lost: (description) => this._closed("transport close", { description }),
      leave: () => this._end(),
    });
    const target =
      href.replace("http", "ws") + options.path!.replace(/\/$/, "") + (options.addTrailingSlash === false ? "" : "/");
    try {
      const ws = (this._ws = new WebSocket(
        target + "?" + encodeQuery({ ...((options.query as object) || decodeQuery(query)), EIO: 4, transport: "websocket" }),
        options.protocols || [],
      ));
      ws.binaryType = options.binaryType == "blob" ? "blob" : "arraybuffer";
      ws.onmessage = ({ data }) => this._received(data);
      ws.onclose = (context) => this._closed("transport close", { description: "websocket connection closed", context });
      ws.onerror = (event) =>
        this._failed(
          new TransportError("websocket error", event, undefined, this.id ? undefined : "no WebSocket at " + target),
        );
    } catch (err) {
      // As an event, not thrown: nobody is listening yet.
      soon(() => this._failed(err));
    }
  }

  /** Sends a message. */
  write(data: any, _options?: object): this {
    return this.send(data);
  }

  /** The same as `write`. */
  send(data: any): this {
    this._send(typeof data == "string" ? "4" + data : data);
    return this;
  }

  /** Ends the session. What was sent leaves first: the WebSocket sees to that. */
  close(): this {
    this._closed("forced close");
    return this;
  }

  /** Whether the server should have been heard of by now; if so, the session is about to end. */
  hasPingExpired(): boolean {
    return this._heartbeat.expired();
  }

  private _send(wire: any): void {
    if (this.readyState == "open") this._ws!.send(wire);
  }

  private _received(wire: any): void {
    const data = typeof wire == "string" ? wire.slice(1) : wire;
    switch (typeof wire == "string" ? wire[0] : "4") {
      case "0":
        return this._opened(data);
      case "2":
        this._send("3");
        this._heartbeat.expect();
        this.emitReserved("ping");
        return;
      case "4":
        this.emitReserved("data", data);
        return;
      case "6":
        return;
      default:
        this._failed(new Error("server error"));
    }
  }

  private _opened(text: string): void {
    try {
      const data = JSON.parse(text);
      if (typeof data.sid != "string" || !data.sid || this.id) throw 0;
      this.id = data.sid;
      this._heartbeat.agree(data);
    } catch {
      return this._failed(new Error("invalid handshake"));
    }
    this.readyState = "open";
    this._heartbeat.expect();
    this.emitReserved("open");
  }

  private _failed(err: any): void {
    if (this.readyState == "closed") return;
    this.emitReserved("error", err);
    this._closed("transport error", err);
  }

  private _closed(reason: string, description?: CloseDetails): void {
    if (this.readyState == "closed") return;
    this.readyState = "closed";
    this._heartbeat.stop();
    this._stopListening();
    this._end();
    this.emitReserved("close", reason, description);
  }

  private _end(): void {
    const ws = this._ws;
    if (!ws) return;
    // Late events of a socket given up concern nobody.
    ws.onclose = ws.onmessage = ws.onerror = null;
    ws.close();
  }
}
