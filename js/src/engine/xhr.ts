// Polling by `XMLHttpRequest`, for pages that watch or replace it: `transports: [XHR, WebSocket]`.

import { Polling } from "./polling.js";

export class XHR extends Polling {
  private _get: XMLHttpRequest | undefined;

  protected abort(): void {
    if (this._get) this._get.abort();
  }

  protected request(body?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const { withCredentials, extraHeaders, requestTimeout } = this.opts;
      const xhr = new XMLHttpRequest();
      if (body == null) this._get = xhr;
      xhr.open(body == null ? "GET" : "POST", this.uri());
      for (const name of Object.keys(extraHeaders || {})) xhr.setRequestHeader(name, extraHeaders![name]!);
      if (body != null) xhr.setRequestHeader("content-type", "text/plain;charset=UTF-8");
      xhr.withCredentials = !!withCredentials;
      xhr.timeout = requestTimeout || 0;
      // After success and every kind of failure alike; 0 where there was no answer.
      xhr.onloadend = () => {
        if (xhr.status == 200) resolve(xhr.responseText);
        else reject(this.failure(body, xhr.status, xhr, xhr.responseText));
      };
      xhr.send(body);
    });
  }
}
