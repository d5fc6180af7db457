// The fixture on npm socket.io: as much of conformance/CONTRACT.md as the tests here ask for, so that
// they run without anything else being installed or built.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const { values: flags } = parseArgs({
  options: {
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
    "max-payload": { type: "string" },
    recovery: { type: "string" },
    transports: { type: "string" },
    msgpack: { type: "boolean" },
  },
});
const options = { serveClient: false };
if (flags["ping-interval"]) options.pingInterval = Number(flags["ping-interval"]);
if (flags["ping-timeout"]) options.pingTimeout = Number(flags["ping-timeout"]);
if (flags["max-payload"]) options.maxHttpBufferSize = Number(flags["max-payload"]);
if (flags.transports) options.transports = flags.transports.split(",");
if (flags.recovery) options.connectionStateRecovery = { maxDisconnectionDuration: Number(flags.recovery) };

if (flags.msgpack) options.parser = msgpack;

const log = { disconnects: [] };
const http = createServer((request, response) =>
  request.url === "/log" ? response.end(JSON.stringify(log)) : response.writeHead(404).end());
const io = new Server(http, options);

function serve(socket) {
  socket.emit("auth", socket.handshake.auth);
  socket.on("disconnect", (reason) => log.disconnects.push({ id: socket.id, nsp: socket.nsp.name, reason }));
  socket.on("echo", (...args) => (typeof args.at(-1) === "function" ? args.pop()(...args) : socket.emit("echo", ...args)));
  socket.on("ask", (...args) =>
    socket.timeout(1000).emit("question", ...args, (error, ...answer) =>
      error ? socket.emit("unanswered") : socket.emit("answered", ...answer)));
  socket.on("join", (room, ack) => (socket.join(room), ack?.()));
  socket.on("send-to", (rooms, event, ...args) => {
    const ack = args.pop();
    socket.to(rooms).emit(event, ...args);
    ack();
  });
  socket.on("burst", (n) => {
    for (let i = 0; i < n; i++) socket.emit("n", i);
  });
  socket.on("emit-after", (ms, event, ...args) => setTimeout(() => socket.emit(event, ...args), ms));
  socket.on("late", (ms, ...args) => setTimeout(() => args.pop()(...args), ms));
  socket.on("kick", (close) => socket.disconnect(close));
  socket.on("close-engine", () => socket.conn.close());
  socket.on("who", (ack) =>
    ack({
      id: socket.id,
      nsp: socket.nsp.name,
      recovered: socket.recovered,
      transport: socket.conn.transport.name,
      protocol: socket.conn.protocol,
      query: { ...socket.handshake.query },
      auth: socket.handshake.auth,
      header: socket.handshake.headers["x-conformance"] ?? null,
    }));
}

io.of("/").on("connection", serve);
io.of("/custom").on("connection", serve);
io.of("/admin")
  .use((socket, next) =>
    setTimeout(() => {
      if (socket.handshake.auth.token === "secret") next();
      else next(Object.assign(new Error("not allowed"), { data: { code: 401, hint: "token" } }));
    }, 20))
  .on("connection", serve);
io.of("/slow")
  .use((socket, next) => setTimeout(next, Math.min(Number(socket.handshake.auth.wait) || 0, 2000)))
  .on("connection", serve);

process.stdin.resume().on("end", () => process.exit(0)).on("error", () => process.exit(0));
http.listen(0, "127.0.0.1", () => console.log(`listening ${http.address().port}`));
