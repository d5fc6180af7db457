// Polling by `fetch`: browsers from 2018 on, Deno, Bun, workers.

import { Polling } from "./polling.js";

export class Fetch extends Polling {
  private _abort: AbortController | undefined;

  protected abort(): void {
    if (this._abort) this._abort.abort();
  }

  protected request(body?: string): Promise<string> {
    const { withCredentials, extraHeaders, requestTimeout } = this.opts;
    const abort = new AbortController();
    if (body == null) this._abort = abort;
    const timer = requestTimeout ? setTimeout(() => abort.abort(), requestTimeout) : undefined;
    const headers = new Headers(extraHeaders);
    if (body != null) headers.set("content-type", "text/plain;charset=UTF-8");
    return fetch(this.uri(), {
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
      .then((response) =>
        response.text().then((text) => {
          if (response.status != 200) throw this.failure(body, response.status, response, text);
          return text;
        }),
      )
      .then(
        (text) => (clearTimeout(timer), text),
        (failure) => {
          clearTimeout(timer);
          throw failure.type ? failure : this.failure(body, failure, failure);
        },
      );
  }
}
