// Broken servers and proxies, one per thing that goes wrong in the field.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp, request as ask } from "node:http";
import { createConnection, createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "socket.io";
import Server2 from "server2";
import { sleep } from "./fixture.mjs";

/** Listens on a free port of the loopback; ends with the test. */
export async function listen(t, server) {
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket.on("close", () => sockets.delete(socket)).on("error", () => {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.close(); for (const socket of sockets) socket.destroy(); });
  return server.address().port;
}

/** npm socket.io 4; `change` gets the server. */
export async function node(t, options = {}, change = () => {}) {
  const http = createHttp((_, response) => response.writeHead(404).end("nothing here"));
  const io = new Server(http, options);
  change(io);
  t.after(() => io.close());
  return listen(t, http);
}

/** npm socket.io 2, which speaks Engine.IO 3. */
export async function node2(t) {
  const http = createHttp();
  const io = Server2(http, { serveClient: false });
  t.after(() => io.close());
  return listen(t, http);
}

/** An HTTP server that answers by hand. */
export const http = (t, handler) => listen(t, createHttp(handler));

/** A TCP server that does as it likes. */
export const tcp = (t, handler) => listen(t, createTcp(handler));

/** A port that nobody listens on. */
export async function closed() {
  const server = createTcp().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A server of plain WebSockets; says `hello` to each, if it has something to say. */
export async function plainWebSocket(t, hello) {
  const server = createHttp((_, response) => response.writeHead(426).end("Upgrade Required"));
  server.on("upgrade", (request, socket) => {
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    if (hello) socket.write(Buffer.concat([Buffer.from([0x81, hello.length]), Buffer.from(hello)]));
  });
  return listen(t, server);
}

/**
 * A proxy. `request(options, near)` may change what is passed on, or answer itself and return true; `answer` gets the
 * answer and what to send it with; `upgrade(request, socket, head)` does as it likes with an upgrade.
 */
export async function proxy(t, port, { request = () => false, answer, upgrade } = {}) {
  const server = createHttp((near, back) => {
    const options = { host: "127.0.0.1", port, method: near.method, path: near.url, headers: { ...near.headers }, agent: false };
    if (request(options, near, back)) return;
    const far = ask(options, (response) => {
      const pass = () => { back.writeHead(response.statusCode, response.headers); response.pipe(back); };
      if (answer) answer(near, response, back, pass);
      else pass();
    });
    far.on("error", () => back.destroy());
    back.on("close", () => far.destroy());
    near.pipe(far);
  });
  if (upgrade) server.on("upgrade", (near, socket, head) => upgrade(near, socket.on("error", () => {}), head));
  return listen(t, server);
}

/** Passes an upgrade on as it should be; `wire(near, far)` joins the two sides. */
export function tunnel(port, wire) {
  return (near, socket, head) => {
    const far = createConnection(port, "127.0.0.1", () => {
      const headers = Object.entries(near.headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      far.write(`GET ${near.url} HTTP/1.1\r\n${headers}\r\n`);
      far.write(head);
      wire(socket, far);
    });
    far.on("error", () => socket.destroy());
    socket.on("close", () => far.destroy());
  };
}

/** Debian's haproxy in front of `ports`; `lines` are what makes a backend special. */
export async function haproxy(t, ports, ...lines) {
  const directory = mkdtempSync(join(tmpdir(), "sockeye-haproxy-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (let attempt = 0; ; attempt += 1) {
    const port = await closed();
    const file = join(directory, "haproxy.cfg");
    writeFileSync(file, [
      "defaults", "  mode http", "  timeout connect 2s", "  timeout client 60s", "  timeout server 60s", "  timeout tunnel 60s",
      "frontend front", `  bind 127.0.0.1:${port}`, "  default_backend back",
      "backend back", "  balance roundrobin", ...lines.map((line) => `  ${line}`),
      ...ports.map((number, at) => `  server s${at} 127.0.0.1:${number}${lines.some((line) => line.startsWith("cookie")) ? ` cookie s${at}` : ""}`),
      "",
    ].join("\n"));
    const child = spawn("haproxy", ["-db", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (data) => { said += data; });
    t.after(() => child.kill("SIGKILL"));
    // Another program may have taken the port in between: then another one is tried.
    for (let waited = 0; waited < 100 && child.exitCode === null; waited += 1) {
      if (await answers(port)) return port;
      await sleep(50);
    }
    child.kill("SIGKILL");
    if (attempt === 3) throw new Error(`haproxy does not start: ${said}`);
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => { socket.destroy(); resolve(true); });
    socket.on("error", () => resolve(false));
  });
}
