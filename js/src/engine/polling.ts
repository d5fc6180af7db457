// HTTP long-polling, whatever makes the requests: one GET is always waiting for the server, at most one
// POST is on its way to it. The server closes the session if either rule is broken.

import { root } from "../root.js";
import { decodePayload, encodePayload, loadBlobs, type Packet } from "./packet.js";
import { Transport, TransportError } from "./transport.js";

const HINTS: { [status: number]: string } = {
  // The codes of Engine.IO's own refusals.
  0: "the server does not offer this transport",
  1: "the server does not know this session: of several servers, one client needs always the same",
  3: "the server's rules or a proxy forbid this request",
  4: "the server forbids it",
  5: "the server speaks another version of the protocol",
  404: "no Socket.IO server there: check the option `path`",
  413: "larger than the server's `maxPayload` (maxHttpBufferSize)",
  502: "the proxy does not reach the server",
};

/** What `status` and the text of an answer say about what is wrong; status 0 means no answer. */
function hint(status: number, answer: string | undefined, host: string | undefined): string | undefined {
  const code = status && /"code":(\d)/.exec(answer!);
  if (code) return HINTS[+code[1]!];
  if (status) return HINTS[status > 502 ? 502 : status];
  const page = root.location;
  const elsewhere = page && page.host && page.hostname != host;
  return "no answer: is the server up" + (elsewhere ? ", and does its CORS allow " + page.origin : "") + "?";
}

export abstract class Polling extends Transport {
  private _polling = false;
  private _paused: () => void = () => {};

  get name(): string {
    return "polling";
  }

  protected doOpen(): void {
    this._poll();
  }

  /** Lets the waiting GET and the running POST end; the server answers the GET as soon as it knows. */
  override pause(paused: () => void): void {
    this.readyState = "pausing";
    this._paused = paused;
    this._rest();
  }

  override resume(): void {
    if (this.readyState != "pausing" && this.readyState != "paused") return;
    this.readyState = "open";
    if (!this._polling) this._poll();
  }

  /** The body of the answer to a GET, or to a POST of `body`; rejects with the `TransportError` to report. */
  protected abstract request(body?: string): Promise<string>;

  /** Breaks off the waiting GET. */
  protected abstract abort(): void;

  protected doClose(): void {
    const abort = () => this.abort();
    if (this.readyState != "open") return abort();
    // Says goodbye first: a GET cut off looks like a lost connection to the server.
    this.request("1").then(abort, abort);
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    const post = () =>
      this.request(encodePayload(packets)).then(
        () => {
          this.writable = true;
          this.emitReserved("drain");
          this._rest();
        },
        (failure) => this._failed(failure),
      );
    const loading = loadBlobs(packets);
    if (loading) loading.then(post, (failure) => this._failed(failure));
    else post();
  }

  private _poll(): void {
    this._polling = true;
    this.emitReserved("poll");
    this.request().then(
      (body) => this._received(body),
      (failure) => this._failed(failure),
    );
  }

  private _received(body: string): void {
    for (const packet of decodePayload(body, this.opts.binaryType)) {
      if (this.readyState == "closed") return;
      if (this.readyState == "opening" && packet.type == "open") this.onOpen();
      if (packet.type == "close") return this.onClose({ description: "transport closed by the server" });
      this.onPacket(packet);
    }
    if ((this.readyState as string) == "closed") return;
    this._polling = false;
    this.emitReserved("pollComplete");
    if (this.readyState == "open") this._poll();
    else this._rest();
  }

  private _rest(): void {
    if (this.readyState != "pausing" || this._polling || !this.writable) return;
    this.readyState = "paused";
    this._paused();
  }

  private _failed(failure: any): void {
    if (this.readyState != "closed") this.emitReserved("error", failure);
  }

  /** Where the next request goes. */
  protected uri(): string {
    const query = this.opts.timestampRequests === false ? { ...this.query } : this.stamped();
    if (!this.supportsBinary && !query.sid) query.b64 = 1;
    return this.createUri("http", query);
  }

  /** What a failed request is reported as; `body` tells a POST from a GET, and `answer` is the text it got. */
  protected failure(body: string | undefined, description: any, context: any, answer?: string): TransportError {
    const why = hint(+description || 0, answer, this.opts.hostname);
    return new TransportError(body == null ? "xhr poll error" : "xhr post error", description, context, why);
  }
}
