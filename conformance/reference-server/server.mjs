// The fixture of CONTRACT.md on npm socket.io: what our server is compared with.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createRequire } from "node:module";
import { Server } from "socket.io";
import msgpack from "msgpack";

// Socket.IO's own Engine.IO, the very version it was released with.
const engine = createRequire(createRequire(import.meta.url).resolve("socket.io"))("engine.io");

const { values: flags } = parseArgs({
  options: {
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
    "upgrade-timeout": { type: "string" },
    "connect-timeout": { type: "string" },
    "max-payload": { type: "string" },
    eio3: { type: "boolean" },
    recovery: { type: "string" },
    msgpack: { type: "boolean" },
    deflate: { type: "boolean" },
    transports: { type: "string" },
    cors: { type: "string" },
    cookie: { type: "string" },
    refuse: { type: "string" },
    name: { type: "string", default: "" },
    redis: { type: "string" },
    kind: { type: "string" },
    key: { type: "string" },
    mode: { type: "string" },
    specific: { type: "boolean", default: false },
    "requests-timeout": { type: "string" },
  },
});

// Loaded only where it is needed: most scenarios are of one server.
const cluster = flags.redis && (await import("./cluster.mjs"));
const number = (name) => (flags[name] === undefined ? undefined : Number(flags[name]));
const options = {
  serveClient: false,
  cleanupEmptyChildNamespaces: true,
  allowEIO3: flags.eio3 ?? false,
  perMessageDeflate: flags.deflate ? { threshold: 1024 } : false,
};
const given = {
  pingInterval: number("ping-interval"),
  pingTimeout: number("ping-timeout"),
  upgradeTimeout: number("upgrade-timeout"),
  connectTimeout: number("connect-timeout"),
  maxHttpBufferSize: number("max-payload"),
  parser: flags.msgpack ? msgpack : undefined,
  transports: flags.transports?.split(","),
  cors: flags.cors && { origin: flags.cors, credentials: true },
  cookie: flags.cookie && { name: flags.cookie, path: "/", httpOnly: true, sameSite: "lax" },
  adapter: cluster && (await cluster.adapter(flags)),
  connectionStateRecovery: flags.recovery && { maxDisconnectionDuration: Number(flags.recovery) },
  allowRequest: flags.refuse && ((request, decide) => decide(/[?&]refuse/.test(request.url) ? flags.refuse : null, !/[?&]refuse/.test(request.url))),
};
for (const [name, value] of Object.entries(given)) if (value) options[name] = value;

const log = { disconnects: [], refusals: [] };
const heard = [];
const http = createServer((request, response) => {
  if (request.url === "/stats") {
    const namespaces = [...io._nsps.values()];
    const sum = (count) => namespaces.reduce((total, namespace) => total + count(namespace), 0);
    response.end(JSON.stringify({
      sessions: io.engine.clientsCount + echo.clientsCount,
      sockets: sum((namespace) => namespace.sockets.size),
      rooms: sum((namespace) => namespace.adapter.rooms.size),
    }));
  } else if (request.url === "/log") {
    response.end(JSON.stringify(log));
  } else if (request.url === "/readyz") {
    response.end("ok");
  } else if (cluster && request.url === "/do") {
    cluster.serve(io, heard, request, response);
  } else {
    response.writeHead(404).end();
  }
});
const io = new Server(http, options);
const echo = new engine.Server({ ...options, cors: options.cors });
io.engine.on("connection_error", ({ code, message }) => log.refusals.push({ code, message }));
echo.attach(http, { path: "/engine.io/", destroyUpgrade: false });
echo.on("connection", (session) => session.on("message", (data) => session.send(data)));

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function serve(socket) {
  const namespace = socket.nsp;
  socket.emit("auth", socket.handshake.auth);
  socket.on("disconnect", (reason) => log.disconnects.push({ id: socket.id, nsp: namespace.name, reason }));
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("echo", (...args) => (typeof args.at(-1) === "function" ? args.pop()(...args) : socket.emit("echo", ...args)));
  socket.on("ask", (...args) =>
    socket.timeout(1000).emit("question", ...args, (error, ...answer) =>
      error ? socket.emit("unanswered") : socket.emit("answered", ...answer)));
  socket.on("join", (room, ack) => { socket.join(room); ack?.(); });
  socket.on("leave", (room, ack) => { socket.leave(room); ack?.(); });
  socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
  socket.on("send-to", (rooms, event, ...args) => { const ack = args.pop(); socket.to(rooms).emit(event, ...args); ack(); });
  socket.on("all-in", (rooms, except, event, ...args) => {
    const ack = args.pop();
    namespace.to(rooms).except(except).emit(event, ...args);
    ack();
  });
  socket.on("broadcast", (event, ...args) => { const ack = args.pop(); socket.broadcast.emit(event, ...args); ack(); });
  socket.on("poll-room", (room, ms, ...args) => {
    const ack = args.pop();
    namespace.to(room).timeout(ms).emit("question", ...args, (error, answers) => ack({ answers, missing: error !== null }));
  });
  socket.on("burst", (n) => { for (let i = 0; i < n; i++) socket.emit("n", i); });
  socket.on("volatile", (n) => { for (let i = 0; i < n; i++) socket.volatile.emit("n", i); socket.emit("done"); });
  socket.on("emit-after", (ms, event, ...args) => setTimeout(() => socket.emit(event, ...args), ms));
  socket.on("late", async (ms, ...args) => { const ack = args.pop(); await sleep(ms); ack(...args); });
  socket.on("kick", (close) => socket.disconnect(close));
  socket.on("close-engine", () => socket.conn.close());
  socket.on("keep", (value, ack) => { socket.data.kept = value; ack(); });
  socket.on("kept", (ack) => ack(socket.data.kept ?? null));
  socket.on("who", (ack) =>
    ack({
      id: socket.id,
      nsp: namespace.name,
      recovered: socket.recovered,
      transport: socket.conn.transport.name,
      protocol: socket.conn.protocol,
      query: { ...socket.handshake.query },
      auth: socket.handshake.auth,
      header: socket.handshake.headers["x-conformance"] ?? null,
    }));
  socket.on("sockets", (ack) => ack([...namespace.sockets.keys()].sort()));
  socket.on("panic", () => {});
}

for (const name of ["/", "/custom"]) {
  const namespace = io.of(name).on("connection", serve);
  cluster?.listen(namespace, flags.name, heard);
}
io.of("/admin")
  .use(async (socket, next) => {
    await sleep(20);
    if (socket.handshake.auth.token === "secret") return next();
    next(Object.assign(new Error("not allowed"), { data: { code: 401, hint: "token" } }));
  })
  .on("connection", serve);
io.of("/slow")
  .use(async (socket, next) => { await sleep(Math.min(Number(socket.handshake.auth.wait) || 0, 2000)); next(); })
  .on("connection", serve);
io.of(/^\/dynamic-\d+$/).on("connection", serve);

process.stdin.resume().on("end", () => process.exit(0)).on("error", () => process.exit(0));
http.listen(0, "127.0.0.1", () => console.log(`listening ${http.address().port}`));
