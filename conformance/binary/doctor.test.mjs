// `sockeye doctor` at a zoo of broken servers and proxies: each cause is named, and only that.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import msgpack from "msgpack";
import { start, withTimeout } from "../lib/fixture.mjs";
import { closed, haproxy, http, node, node2, plainWebSocket, proxy, tcp, tunnel } from "../lib/zoo.mjs";

const SOCKEYE = process.env.SOCKEYE;

/** Runs it to its end. */
async function run(...flags) {
  const child = spawn(SOCKEYE, ["doctor", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { err += data; });
  const [code] = await withTimeout(once(child, "close"), 30_000, `the end of sockeye doctor ${flags.join(" ")}`);
  return { code, out, err };
}

/** What it finds: causes and exit code, and the whole report. */
async function examine(url, ...flags) {
  const { code, out, err } = await run(url, "--json", "--timeout", "1", ...flags);
  assert.equal(err, "");
  const report = JSON.parse(out);
  for (const { what, fix, seen } of report.findings) assert.ok(what && fix.length > 0 && seen.length > 0, JSON.stringify(report.findings));
  const outcome = (name) => report.steps.find((step) => step.name === name)?.outcome;
  return { code, report, outcome, causes: report.findings.map((finding) => finding.cause) };
}

/** Asserts that there is one finding, this one, and gives the report. */
async function finds(cause, code, url, ...flags) {
  const found = await examine(url, ...flags);
  assert.deepEqual([found.causes, found.code], [[cause], code], JSON.stringify(found.report, null, 1));
  return found;
}

const at = (port) => `http://127.0.0.1:${port}`;

describe("the doctor", { skip: !SOCKEYE && "no sockeye binary given", concurrency: 4 }, () => {
  describe("finds nothing wrong", () => {
    it("with sockeye serve", async (t) => {
      const server = await start([SOCKEYE, "--port", "0"], (line) => /Socket\.IO\s+https?:\/\/[^/]*:(\d+)\//.exec(line)?.[1]);
      t.after(() => server.signal("SIGKILL"));
      const { code, report } = await examine(server.url);
      assert.deepEqual([code, report.verdict, report.findings], [0, "healthy", []]);
      assert.deepEqual(
        report.steps.map(({ name, outcome }) => `${name} ${outcome}`),
        ["dns good", "tcp good", "tls skipped", "handshake good", "polling good", "namespace good", "upgrade good", "websocket good", "ping good"],
      );
      assert.equal((await examine(server.url, "--eio", "3")).code, 0);
      assert.equal((await examine(server.url, "--parser", "msgpack")).code, 0);
      for (const transport of ["polling", "websocket"]) assert.equal((await examine(server.url, "--transport", transport)).code, 0);
    });
    it("with npm socket.io 4, whole heartbeats included", async (t) => {
      const port = await node(t, { pingInterval: 300, pingTimeout: 200, cors: { origin: "https://app.example.org" } });
      for (const flags of [[], ["--transport", "polling"], ["--origin", "https://app.example.org"]]) {
        const { code, outcome } = await examine(at(port), "--heartbeat", ...flags);
        assert.deepEqual([code, outcome("heartbeat")], [0, "good"], `${flags}`);
      }
    });
    it("with npm socket.io 2, asked as what it is", async (t) => {
      assert.equal((await examine(at(await node2(t)), "--eio", "3")).code, 0);
    });
    it("with two servers behind a sticky haproxy", async (t) => {
      const ports = [await node(t), await node(t)];
      assert.equal((await examine(at(await haproxy(t, ports, "balance source")))).code, 0);
    });
  });

  describe("names what is wrong below HTTP", () => {
    it("a name that leads nowhere", () => finds("dns-failed", 1, "http://no-such-host.invalid"));
    it("nobody listens", async () => finds("connection-refused", 1, at(await closed())));
    it("a server that says nothing", async (t) => finds("no-answer", 1, at(await tcp(t, () => {}))));
    it("a server that hangs up", async (t) => finds("no-answer", 1, at(await tcp(t, (socket) => socket.on("data", () => socket.end())))));
    it("no HTTP", async (t) => finds("not-http", 1, at(await tcp(t, (socket) => socket.write("220 mail.example.org ESMTP\r\n")))));
    it("https where there is none", async (t) => finds("plain-http", 1, `https://127.0.0.1:${await node(t)}`));
  });

  describe("names what is wrong with the handshake", () => {
    it("the wrong path", async (t) => {
      const port = await node(t, { path: "/live/socket.io/" });
      const found = await finds("wrong-path", 1, `${at(port)}/live`);
      assert.match(found.report.findings[0].fix.join(), /\/live\/socket\.io\//);
    });
    it("the default path, when another was given", async (t) => {
      await finds("wrong-path", 1, at(await node(t)), "--path", "/sockets");
    });
    it("Socket.IO 2, for a client of 4", async (t) => finds("protocol-eio3", 1, at(await node2(t))));
    it("Socket.IO 4, for a client of 2", async (t) => finds("protocol-eio4", 1, at(await node(t)), "--eio", "3"));
    it("Socket.IO 0.9", async (t) => {
      const port = await http(t, (request, response) => {
        if (request.url.startsWith("/socket.io/1/")) return response.end("4d4f185e96a7b:60:60:websocket,xhr-polling");
        response.writeHead(200).end("Welcome to socket.io.");
      });
      await finds("protocol-0.9", 1, at(port));
    });
    it("a server that is something else", async (t) => {
      await finds("not-socketio", 1, at(await http(t, (_, response) => response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not here</h1>"))));
      // A page for everything, as single-page applications are served.
      await finds("not-socketio", 1, at(await http(t, (_, response) => response.end("<!doctype html><title>App</title>"))));
    });
    it("plain WebSocket", async (t) => {
      for (const hello of ["welcome", undefined]) {
        await finds("plain-websocket", 1, at(await plainWebSocket(t, hello)));
      }
    });
    it("a redirect", async (t) => {
      const port = await http(t, (request, response) => response.writeHead(301, { location: `https://example.org${request.url}` }).end());
      const { report } = await finds("redirect", 1, at(port));
      assert.match(report.findings[0].fix[0], /https:\/\/example\.org\/socket\.io\//);
    });
    it("a password in front", async (t) => {
      const behind = await node(t);
      const port = await proxy(t, behind, {
        request: ({ headers }, _, back) => headers.authorization !== "Basic bWU6c2VjcmV0" && back.writeHead(401, { "www-authenticate": "Basic" }).end(),
      });
      await finds("unauthorized", 1, at(port));
      const { code } = await examine(at(port), "--header", "Authorization: Basic bWU6c2VjcmV0", "--transport", "polling");
      assert.equal(code, 0);
    });
    it("a gateway without anybody behind it", async (t) => finds("gateway", 1, at(await haproxy(t, [await closed()], "retries 0"))));
    it("a server that is full", async (t) => {
      await finds("too-many-requests", 1, at(await http(t, (_, response) => response.writeHead(429, { "retry-after": "5" }).end())));
    });
    it("a check that says no", async (t) => {
      const port = await node(t, { allowRequest: (_, callback) => callback("no entry", false) });
      const { report } = await finds("forbidden", 1, at(port));
      assert.match(report.findings[0].what, /no entry/);
    });
    it("polling turned off", async (t) => {
      const { outcome } = await finds("polling-disabled", 3, at(await node(t, { transports: ["websocket"] })));
      assert.deepEqual([outcome("websocket"), outcome("namespace")], ["good", "good"]);
    });
    it("an origin that is not let in", async (t) => {
      const port = await node(t, { cors: { origin: "https://app.example.org" } });
      await finds("cors", 1, at(port), "--origin", "https://elsewhere.example");
      await finds("cors", 1, at(await node(t)), "--origin", "https://elsewhere.example");
    });
    it("an origin that is refused", async (t) => {
      const server = await start([SOCKEYE, "--port", "0", "--cors", "https://app.example.org"], (line) => /Socket\.IO\s+https?:\/\/[^/]*:(\d+)\//.exec(line)?.[1]);
      t.after(() => server.signal("SIGKILL"));
      await finds("origin-refused", 1, server.url, "--origin", "https://elsewhere.example");
      await finds("origin-refused", 1, server.url, "--origin", "https://elsewhere.example", "--transport", "websocket");
      assert.equal((await examine(server.url, "--origin", "https://app.example.org")).code, 0);
    });
    it("clocks that differ", async (t) => {
      const port = await proxy(t, await node(t), {
        answer: (_, response, back, pass) => { response.headers.date = new Date(Date.now() - 3_600_000).toUTCString(); pass(); },
      });
      const { report } = await finds("clock-skew", 3, at(port), "--transport", "polling");
      assert.match(report.findings[0].what, /3[56]\d\d s/);
    });
  });

  describe("names what is wrong between requests", () => {
    it("a balancer that is not sticky", async (t) => {
      const ports = [await node(t), await node(t)];
      const { outcome } = await finds("no-sticky-sessions", 1, at(await haproxy(t, ports)));
      // One connection is all that a WebSocket needs.
      assert.deepEqual([outcome("polling"), outcome("websocket"), outcome("namespace")], ["bad", "good", "good"]);
    });
    it("a balancer that is sticky by a cookie", async (t) => {
      const ports = [await node(t), await node(t)];
      await finds("cookie-stickiness", 3, at(await haproxy(t, ports, "cookie SERVER insert indirect nocache")));
    });
    it("a proxy without POST", async (t) => {
      const port = await proxy(t, await node(t), { request: ({ method }, _, back) => method === "POST" && back.writeHead(405).end() });
      await finds("second-request-refused", 1, at(port), "--transport", "polling");
    });
    it("answers that are held back", async (t) => {
      const behind = await node(t);
      // The head comes, and of the body nothing until there is more of it.
      const held = await proxy(t, behind, {
        answer: (near, response, back, pass) => {
          if (near.method !== "GET" || !near.url.includes("sid=")) return pass();
          back.writeHead(200, { "content-type": response.headers["content-type"] }).flushHeaders();
        },
        upgrade: tunnel(behind, (near, far) => near.pipe(far).pipe(near)),
      });
      const { report } = await finds("responses-held-back", 1, at(held));
      assert.match(report.findings[0].seen.join(), /over WebSocket/);
    });
    it("answers that come late", async (t) => {
      const port = await proxy(t, await node(t), { answer: (near, _, __, pass) => void (near.method === "POST" ? setTimeout(pass, 2100) : pass()) });
      const { code, out } = await run(at(port), "--json", "--transport", "polling");
      assert.deepEqual([code, JSON.parse(out).findings.map(({ cause }) => cause)], [3, ["responses-held-back"]]);
    });
  });

  describe("names what is wrong with a namespace", () => {
    it("there is none", async (t) => {
      const { report } = await finds("namespace-unknown", 1, `${at(await node(t))}/admin`);
      assert.match(report.findings[0].fix[0], /io\.of\("\/admin"\)/);
    });
    it("it refuses, with data", async (t) => {
      const port = await node(t, {}, (io) => io.use((socket, next) => {
        if (socket.handshake.auth.token === "right") return next();
        next(Object.assign(new Error("who are you?"), { data: { retry: "\u001b[2J" } }));
      }));
      for (const flags of [[], ["--transport", "websocket"], ["--auth", '{"token":"wrong-secret"}']]) {
        const { report } = await finds("namespace-refused", 1, at(port), ...flags);
        assert.match(report.findings[0].what, /who are you\?/);
        assert.match(report.findings[0].seen.join(), /retry/);
        assert.ok(!JSON.stringify(report).includes("wrong-secret"), "secrets stay out");
      }
      assert.equal((await examine(at(port), "--auth", '{"token":"right"}')).code, 0);
      // What a server says does not reach the terminal as it is.
      const { out } = await run(at(port), "--verbose");
      assert.ok(!out.includes("\u001b"), "no control characters, and no colours beyond a terminal");
    });
    it("it says nothing", async (t) => {
      const port = await node(t, {}, (io) => io.use(() => {}));
      await finds("namespace-silent", 1, at(port));
      await finds("namespace-silent", 1, at(port), "--transport", "polling");
    });
    it("another parser", async (t) => {
      const { report } = await finds("parser-mismatch", 1, at(await node(t, { parser: msgpack })));
      assert.match(report.findings[0].fix[0], /--parser msgpack/);
      await finds("parser-mismatch", 1, at(await node(t)), "--parser", "msgpack");
    });
  });

  describe("names what is wrong with WebSockets", () => {
    it("a server without them", async (t) => finds("upgrade-not-offered", 3, at(await node(t, { transports: ["polling"] }))));
    it("a proxy that takes the Upgrade header away", async (t) => {
      const behind = await node(t);
      const port = await proxy(t, behind, { request: ({ headers }) => void (delete headers.upgrade, headers.connection = "close") });
      const { outcome, report } = await finds("upgrade-blocked", 3, at(port));
      assert.deepEqual([outcome("namespace"), outcome("upgrade"), outcome("websocket")], ["good", "bad", "bad"]);
      assert.match(report.findings[0].fix.join(), /proxy_set_header Upgrade/);
      await finds("upgrade-blocked", 1, at(port), "--transport", "websocket");
    });
    it("a proxy that cuts them", async (t) => {
      const port = await proxy(t, await node(t), { upgrade: (_, socket) => socket.destroy() });
      await finds("upgrade-blocked", 3, at(port));
    });
    it("a proxy that answers the upgrade and holds back what follows", async (t) => {
      const behind = await node(t);
      const port = await proxy(t, behind, {
        upgrade: tunnel(behind, (near, far) => { near.pipe(far); far.once("data", (head) => near.write(head.subarray(0, head.indexOf("\r\n\r\n") + 4))); }),
      });
      await finds("upgrade-buffered", 3, at(port));
    });
    it("a proxy that breaks them off", async (t) => {
      const behind = await node(t);
      const port = await proxy(t, behind, {
        upgrade: tunnel(behind, (near, far) => far.once("data", (head) => near.end(head.subarray(0, head.indexOf("\r\n\r\n") + 4)))),
      });
      await finds("upgrade-failed", 3, at(port));
    });
    it("a proxy that cuts what is idle", async (t) => {
      const behind = await node(t, { pingInterval: 2000 });
      const port = await proxy(t, behind, {
        upgrade: tunnel(behind, (near, far) => {
          near.pipe(far).pipe(near);
          near.setTimeout(500, () => near.destroy());
        }),
      });
      const { outcome } = await finds("idle-cut", 3, at(port), "--heartbeat");
      assert.equal(outcome("heartbeat"), "bad");
      assert.equal((await examine(at(port))).code, 0, "not without a heartbeat");
    });
  });

  it("tells people what it does, and a wrong use in one line", async (t) => {
    const port = await node(t, { path: "/live/" });
    const { code, out } = await run(`${at(port)}/live`);
    assert.equal(code, 1);
    for (const words of ["✓ tcp", "✗ handshake", "wrong-path", "fix", "--path /live/"]) assert.ok(out.includes(words), `${words}\n${out}`);
    for (const flags of [["ftp://x"], ["http://x", "--auth", "secret-canary"], ["http://x", "--header", "secret-canary"], ["http://x", "--origin", "x"], [], ["http://x", "--eio", "5"]]) {
      const { code, err } = await run(...flags);
      assert.equal(code, 2, `${flags}`);
      assert.equal(err.trim().split("\n").length, 1, err);
      assert.ok(flags.includes("--header") || !err.includes("secret-canary"), err);
    }
  });
});
