// HTTP long-polling by `fetch`: one GET is always waiting for the server, at most one POST is on its
// way to it. The server closes the session if either rule is broken.

import { decodePayload, encodePayload, loadBlobs, type Packet } from "./packet.js";
import { Transport } from "./transport.js";

export class Polling extends Transport {
  private _polling = false;
  private _abort: AbortController | undefined;
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

  protected doClose(): void {
    const abort = () => this._abort && this._abort.abort();
    if (this.readyState != "open") return abort();
    // Says goodbye first: a GET cut off looks like a lost connection to the server.
    this._fetch("1").then(abort, abort);
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    const post = () =>
      this._fetch(encodePayload(packets)).then(
        () => {
          this.writable = true;
          this.emitReserved("drain");
          this._rest();
        },
        (failure) => this._failed("xhr post error", failure),
      );
    const loading = loadBlobs(packets);
    if (loading) loading.then(post, (failure) => this._failed("xhr post error", failure));
    else post();
  }

  private _poll(): void {
    this._polling = true;
    this.emitReserved("poll");
    this._fetch().then(
      (body) => this._received(body),
      (failure) => this._failed("xhr poll error", failure),
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

  private _failed(what: string, failure: any): void {
    if (this.readyState != "closed") this.onError(what, failure.status || failure, failure);
  }

  /** The body of the answer; anything but status 200 fails, with the response as the failure. */
  private _fetch(body?: string): Promise<string> {
    const { withCredentials, extraHeaders, timestampRequests, requestTimeout } = this.opts;
    const query = timestampRequests === false ? { ...this.query } : this.stamped();
    if (!this.supportsBinary && !query.sid) query.b64 = 1;
    const abort = new AbortController();
    if (body == null) this._abort = abort;
    const timer = requestTimeout ? setTimeout(() => abort.abort(), requestTimeout) : undefined;
    const headers = new Headers(extraHeaders);
    if (body != null) headers.set("content-type", "text/plain;charset=UTF-8");
    return fetch(this.createUri("http", query), {
      method: body == null ? "GET" : "POST",
      body,
      headers,
      signal: abort.signal,
      // What XMLHttpRequest does: cookies go home, and elsewhere only if asked for.
      credentials: withCredentials ? "include" : "same-origin",
      // The session id must not be carried to wherever an answer points.
      redirect: "error",
      cache: "no-store",
    })
      .then((response) => {
        if (response.status != 200) throw response;
        return response.text();
      })
      .then(
        (text) => (clearTimeout(timer), text),
        (failure) => {
          clearTimeout(timer);
          throw failure;
        },
      );
  }
}
