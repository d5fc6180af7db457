// The platform's WebSocket: browsers, Deno, Bun, Node from 22 on.

import { root } from "../root.js";
import { soon } from "../timer.js";
import { encodePacket, loadBlobs, type Packet } from "./packet.js";
import { Transport } from "./transport.js";

export class WS extends Transport {
  private _ws: WebSocket | undefined;

  get name(): string {
    return "websocket";
  }

  protected doOpen(): void {
    const { protocols, extraHeaders, timestampRequests } = this.opts;
    const query = timestampRequests ? this.stamped() : { ...this.query };
    if (!this.supportsBinary) query.b64 = 1;
    let ws: WebSocket;
    try {
      // Node takes headers where browsers take protocols only; those would choke on the object.
      const last: any = extraHeaders && onNode ? { protocols, headers: extraHeaders } : protocols;
      ws = new WebSocket(this.createUri("ws", query), last || []);
    } catch (err) {
      // As an event, not thrown: nobody is listening yet.
      soon(() => this.onError("websocket error", err));
      return;
    }
    this._ws = ws;
    ws.binaryType = this.opts.binaryType == "blob" ? "blob" : "arraybuffer";
    ws.onopen = () => this.onOpen();
    ws.onclose = (context) => this.onClose({ description: "websocket connection closed", context });
    ws.onmessage = (event) => this.onData(event.data);
    ws.onerror = (event) => this.onError("websocket error", event);
  }

  protected doClose(): void {
    const ws = this._ws;
    if (!ws) return;
    // Late events of a socket given up concern nobody; the empty function keeps Node from throwing.
    ws.onopen = ws.onclose = ws.onmessage = null;
    ws.onerror = () => {};
    ws.close();
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    const send = () => {
      if (this.readyState == "closed") return;
      try {
        for (const packet of packets) this._ws!.send(encodePacket(packet, this.supportsBinary) as any);
      } catch {
        // It closed under our hands, and its own close event is on the way.
      }
      soon(() => {
        this.writable = true;
        this.emitReserved("drain");
      });
    };
    const loading = this.supportsBinary ? undefined : loadBlobs(packets);
    if (loading) loading.then(send, (err) => this.onError("websocket error", err));
    else send();
  }
}

/** Whether this is Node and not a page. */
export const onNode = typeof root.process == "object" && !!(root.process.versions && root.process.versions.node);
