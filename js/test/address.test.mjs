import assert from "node:assert/strict";
import { test } from "node:test";
import { address, bracketed, decodeQuery, encodeQuery } from "../.build/address.js";

const page = { protocol: "http:", host: "here:8080" };

test("the parts of an address", () => {
  for (const [uri, href, path, query] of [
    ["http://h", "http://h:80", "/", ""],
    ["https://h", "https://h:443", "/", ""],
    ["ws://h:9/x?a=1&b", "ws://h:9", "/x", "a=1&b"],
    ["wss://h/a/b#c", "wss://h:443", "/a/b", ""],
    ["ws://h", "ws://h:80", "/", ""],
    ["http://[::1]:3000/", "http://[::1]:3000", "/", ""],
    ["http://user:word@h:1/é", "http://h:1", "/é", ""],
    ["http://h?x=/y", "http://h:80", "/", "x=/y"],
    ["/room", "http://here:8080", "/room", ""],
    ["//other:1/room", "http://other:1", "/room", ""],
    ["other:2", "http://other:2", "/", ""],
    [undefined, "http://here:8080", "/", ""],
  ]) {
    const found = address(uri, "/socket.io", page);
    assert.deepEqual([found.href, found.path, found.query], [href, path, query], String(uri));
    assert.equal(found.id, href + "/socket.io");
  }
});

test("without a page", () => {
  assert.equal(address("h/x", "", undefined).href, "https://h:443");
  assert.equal(address(undefined, "", undefined).host, "localhost");
});

test("refusals", () => {
  assert.throws(() => address("http://h/" + "x".repeat(8000)), /URI too long/);
});

test("queries", () => {
  assert.equal(encodeQuery({ a: "1 2", "é": "&" }), "a=1%202&%C3%A9=%26");
  assert.deepEqual({ ...decodeQuery("a=1%202&%C3%A9=%26&lone=%") }, { a: "1 2", "é": "&", lone: "%" });
  assert.equal(({}).x, undefined);
  assert.equal(decodeQuery("__proto__=1").__proto__, "1", "a name like any other");
  assert.equal(bracketed("::1"), "[::1]");
});
