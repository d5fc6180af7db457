// Polling by Node's `http` and `https`.

import { Polling } from "../engine/polling.js";
import { request } from "./request.js";

export class NodePolling extends Polling {
  private _get: any;

  protected abort(): void {
    if (this._get) this._get.destroy();
  }

  protected request(body?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers: { [name: string]: string } = { accept: "*/*" };
      if (body != null) headers["content-type"] = "text/plain;charset=UTF-8";
      const made = request(this.uri(), body == null ? "GET" : "POST", headers, this.opts);
      if (body == null) this._get = made;
      const { requestTimeout } = this.opts;
      const timer = requestTimeout ? setTimeout(() => made.destroy(new Error("timeout")), requestTimeout) : undefined;
      const fail = (err: Error) => {
        clearTimeout(timer);
        reject(this.failure(body, err, made));
      };
      made.on("error", fail);
      made.on("response", (response: any) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (text += part));
        response.on("error", fail);
        response.on("end", () => {
          clearTimeout(timer);
          if (response.statusCode == 200) resolve(text);
          else reject(this.failure(body, response.statusCode, response, text));
        });
      });
      made.end(body);
    });
  }
}
