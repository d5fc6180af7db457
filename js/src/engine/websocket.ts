// The platform's WebSocket: browsers, workers, Deno, Bun.

import { soon } from "../timer.js";
import { encodePacket, loadBlobs, type Packet } from "./packet.js";
import { Transport } from "./transport.js";

export class WS extends Transport {
  /** Whether the platform sends a Blob by itself. */
  protected takesBlobs = true;
  private _ws: WebSocket | undefined;

  get name(): string {
    return "websocket";
  }

  protected doOpen(): void {
    const query = this.opts.timestampRequests ? this.stamped() : { ...this.query };
    if (!this.supportsBinary) query.b64 = 1;
    let ws: WebSocket;
    try {
      ws = this.socket(this.createUri("ws", query));
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
    ws.onerror = (event) =>
      this.onError(
        "websocket error",
        event,
        undefined,
        // Browsers do not say why, so that no page can look around in a network by it.
        this.readyState == "opening" ? "no WebSocket at " + ws.url.split("?")[0] + ", or something on the way blocks it" : undefined,
      );
  }

  /** The platform's own; the entry for Node has another. */
  protected socket(uri: string): WebSocket {
    return new WebSocket(uri, this.opts.protocols || []);
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
    const loading = this.supportsBinary && this.takesBlobs ? undefined : loadBlobs(packets);
    if (loading) loading.then(send, (err) => this.onError("websocket error", err));
    else send();
  }
}
