// npm install socket.io && node handlers.mjs 3000
import { Server } from "socket.io";
const io = new Server(Number(process.argv[2] ?? 3000));
io.on("connection", (socket) => {
  socket.on("echo", (...args) => (typeof args.at(-1) === "function" ? args.pop()(...args) : socket.emit("echo", ...args)));
  socket.on("publish", (payload) => io.emit("news", payload));
  socket.on("join", async (room, ack) => { await socket.join(room); ack(); });
  socket.on("publish_room", (room, payload) => io.to(room).emit("news", payload));
});
