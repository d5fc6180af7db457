// What the Rust client is tried on: npm socket.io 4, or 2.
//
//   node server.mjs [--generation 2] [--port N] [--msgpack] [--deflate] [--recovery] [--log FILE] [--polling]
//
// Says `listening PORT`, and ends when its standard input does.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    generation: { type: "string", default: "4" },
    port: { type: "string", default: "0" },
    msgpack: { type: "boolean" },
    deflate: { type: "boolean" },
    recovery: { type: "boolean" },
    polling: { type: "boolean" },
    log: { type: "string" },
  },
});

const require = createRequire(import.meta.url);
const old = flags.generation === "2";
const options = {
  serveClient: false,
  parser: flags.msgpack ? require(old ? "msgpack2" : "msgpack") : undefined,
  perMessageDeflate: flags.deflate ? { threshold: 0 } : false,
  ...(flags.recovery ? { connectionStateRecovery: {} } : {}),
  ...(flags.polling ? { transports: ["polling"] } : {}),
};
if (!options.parser) delete options.parser;

const http = createServer((_, response) => response.writeHead(404).end());
const io = old ? require("server2")(http, options) : new (require("socket.io").Server)(http, options);

function serve(socket) {
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("ask", (...args) => {
    const ack = args.pop();
    socket.emit("question", ...args, (...answer) => ack(...answer));
  });
  socket.on("burst", (n) => { for (let i = 0; i < n; i++) socket.emit("n", i); });
  socket.on("later", (ms, n) => setTimeout(() => { for (let i = 0; i < n; i++) socket.emit("n", i); }, ms));
  socket.on("to room", (ms, n) => setTimeout(() => { for (let i = 0; i < n; i++) socket.nsp.to("room").emit("n", i); }, ms));
  socket.on("join", (ack) => { socket.join("room"); ack(); });
  socket.on("kick", (close) => socket.disconnect(close));
  socket.on("who", (ack) => ack({
    id: socket.id,
    transport: socket.conn.transport.name,
    protocol: socket.conn.protocol ?? 3,
    query: { ...socket.handshake.query },
    auth: socket.handshake.auth ?? null,
    header: socket.handshake.headers["x-test"] ?? null,
    recovered: socket.recovered ?? false,
  }));
  // Written down before it is answered: what was answered is never lost.
  socket.on("log", (n, ack) => { appendFileSync(flags.log, `${n}\n`); ack?.(n); });
}

io.of("/").on("connection", serve);
io.of("/custom").on("connection", serve);
io.of("/refusing").use((_, next) => next(Object.assign(new Error("no"), { data: { code: 7 } })));

process.stdin.resume().on("end", () => process.exit(0)).on("error", () => process.exit(0));
http.listen(Number(flags.port), "127.0.0.1", () => console.log(`listening ${http.address().port}`));
