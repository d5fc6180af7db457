// The browser client as the `sockeye` program serves it: names, variants, tags, and who may have it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { after, before, describe, it } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { start } from "../lib/fixture.mjs";

const SOCKEYE = process.env.SOCKEYE;
const serve = (...flags) => start([SOCKEYE, "--port", "0", ...flags], (line) => /Socket\.IO\s+https?:\/\/[^/]*:(\d+)\//.exec(line)?.[1]);
const committed = (name) => readFileSync(new URL(`../../js/dist/${name}`, import.meta.url));
const BUNDLES = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js", "socket.io.websocket.esm.min.js"];

/** An answer as it came, not unpacked. */
function ask(server, path, { method = "GET", ...headers } = {}) {
  return new Promise((resolve, reject) => {
    request(server.url + path, { method, headers, agent: false }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    }).on("error", reject).end();
  });
}

describe("the client that is served", { skip: !SOCKEYE && "no sockeye binary given" }, () => {
  let server;
  before(async () => void (server = await serve("--cors", "https://example.org")));
  after(() => server?.signal("SIGKILL"));

  for (const name of BUNDLES.flatMap((name) => [name, `${name}.map`])) {
    it(name, async () => {
      const whole = committed(name);
      const type = name.endsWith(".map") ? "application/json; charset=utf-8" : "application/javascript; charset=utf-8";
      const tags = new Set();
      for (const [accept, encoding, unpack] of [["", undefined, (body) => body], ["gzip, deflate", "gzip", gunzipSync], ["gzip, deflate, br", "br", brotliDecompressSync]]) {
        const { status, headers, body } = await ask(server, `/socket.io/${name}?cached=1`, { "accept-encoding": accept });
        assert.deepEqual([status, headers["content-type"], headers["content-encoding"], headers["cache-control"]], [200, type, encoding, "public, max-age=0"]);
        assert.equal(Number(headers["content-length"]), body.length);
        assert.match(headers.vary, /accept-encoding/i);
        assert.ok(unpack(body).equals(whole));
        tags.add(headers.etag);

        const head = await ask(server, `/socket.io/${name}`, { method: "HEAD", "accept-encoding": accept });
        assert.deepEqual([head.status, head.body.length, head.headers["content-length"], head.headers.etag], [200, 0, headers["content-length"], headers.etag]);
        for (const tag of [headers.etag, `W/${headers.etag}`, `"other", ${headers.etag}`]) {
          const again = await ask(server, `/socket.io/${name}`, { "if-none-match": tag, "accept-encoding": accept });
          assert.deepEqual([again.status, again.body.length, again.headers.etag], [304, 0, headers.etag]);
        }
      }
      assert.equal(tags.size, 3, "each variant has a tag of its own");
      assert.equal((await ask(server, `/socket.io/${name}`, { "if-none-match": '"other"' })).status, 200);
    });
  }

  it("has the integrity that js/dist/integrity.json says", async () => {
    const integrity = JSON.parse(committed("integrity.json"));
    for (const name of BUNDLES) {
      const { body } = await ask(server, `/socket.io/${name}`);
      assert.equal(integrity[name], `sha384-${createHash("sha384").update(body).digest("base64")}`);
    }
  });

  it("other names, other methods, other origins", async () => {
    for (const name of ["socket.io.jsx", "socket.io.js.br", "..%2fCargo.toml", "types/index.d.ts", "socket.io.node.mjs"]) {
      assert.equal((await ask(server, `/socket.io/${name}`)).status, 404, name);
    }
    const post = await ask(server, "/socket.io/socket.io.js", { method: "POST" });
    assert.deepEqual([post.status, post.headers.allow], [405, "GET, HEAD"]);
    const allowed = await ask(server, "/socket.io/socket.io.js", { origin: "https://example.org" });
    assert.equal(allowed.headers["access-control-allow-origin"], "https://example.org");
    const stranger = await ask(server, "/socket.io/socket.io.js", { origin: "https://elsewhere.example" });
    assert.notEqual(stranger.headers["access-control-allow-origin"], "https://elsewhere.example");
  });

  it("can be left out, or lie below another path", async (t) => {
    const without = await serve("--no-client");
    t.after(() => without.signal("SIGKILL"));
    assert.equal((await ask(without, "/socket.io/socket.io.js")).status, 404);
    assert.equal((await ask(without, "/socket.io/?EIO=4&transport=polling")).status, 200);
    const elsewhere = await serve("--path", "/live");
    t.after(() => elsewhere.signal("SIGKILL"));
    assert.equal((await ask(elsewhere, "/live/socket.io.min.js")).status, 200);
    assert.equal((await ask(elsewhere, "/socket.io/socket.io.min.js")).status, 404);
  });
});
