// Compiled, never run: what users may write, and (under @ts-expect-error) what must not compile.

import io, { Fetch, Manager, Socket, TransportError, WebSocket } from "sockeye-client";
import * as msgpack from "sockeye-client/msgpack";
import small from "sockeye-client/websocket";

interface ServerEvents {
  said: (text: string, at: number) => void;
  question: (n: number, answer: (n: number) => void) => void;
}
interface ClientEvents {
  say: (text: string) => void;
  ask: (n: number, answer: (result: string) => void) => void;
}

// Without types everything goes.
const loose = io("http://localhost", { transports: ["websocket"], auth: { token: "x" }, reconnectionDelay: 5 });
loose.on("anything", (a, b) => a + b);
loose.emit("anything", 1, "2", () => {});

const socket: Socket<ServerEvents, ClientEvents> = io();
socket.on("said", (text, at) => text.length + at);
socket.on("question", (n, answer) => answer(n));
socket.on("connect", () => {});
socket.on("disconnect", (reason) => reason.length);
socket.on("connect_error", (err) => err.message + err.data);
socket.once("said", (text: string) => text).off("said");
socket.onAny((event, ...args) => event + args.length);
socket.emit("say", "hello");
socket.volatile.compress(false).emit("say", "hello");
socket.emit("ask", 1, (result) => result.length);
socket.timeout(5).emit("ask", 1, (err, result) => err.message + result.length);

const answer: Promise<string> = socket.emitWithAck("ask", 1);
const timed: Promise<string> = socket.timeout(5).emitWithAck("ask", 1);

// @ts-expect-error no such event
socket.emit("shout", "hello");
// @ts-expect-error a number is no text
socket.emit("say", 5);
// @ts-expect-error one text is enough
socket.emit("say", "a", "b");
// @ts-expect-error not an event of the server
socket.on("say", () => {});
// @ts-expect-error the first argument is a text
socket.on("said", (text: number) => text);
// @ts-expect-error the result is a text
socket.emit("ask", 1, (result: number) => result);
// @ts-expect-error the question is missing
socket.emitWithAck("ask");

const manager = new Manager<ServerEvents, ClientEvents>("http://localhost", { timeout: false });
manager.socket("/room", { auth: async () => ({ token: "x" }) }).emit("say", "hello");
manager.on("reconnect_attempt", (attempt) => attempt + 1);
// @ts-expect-error no such option
new Manager("http://localhost", { reconectionDelay: 5 });

// The rest of the package, by the names people import.
const { hint, cause }: TransportError = new TransportError("xhr poll error", 404, undefined, "look there");
io("/x", {
  transports: [Fetch, WebSocket],
  parser: msgpack,
  sendBuffer: { packets: 100, bytes: 1e6, drop: "newest", dropped: (args) => args.length },
  auth: (send) => send({ token: "x" }),
});
small("http://localhost", { autoConnect: false }).emit("anything");
// @ts-expect-error oldest or newest
io("/x", { sendBuffer: { drop: "all" } });
socket.on("said", (text) => {
  // @ts-expect-error a text is no number
  text.toFixed();
});
// @ts-expect-error the server does not send that
socket.on("shouted", () => {});
// @ts-expect-error the listener of said has no third argument
socket.on("said", (a: string, b: number, c: string) => [a, b, c]);
// @ts-expect-error the answer is a text
socket.emit("ask", 1, (result: number) => result);
const id: string | undefined = socket.id;
const states: boolean[] = [socket.connected, socket.disconnected, socket.active, socket.recovered];
// @ts-expect-error read only
socket.active = true;
declare class Words extends Socket<ServerEvents, ClientEvents> {}
const words = {} as Words;
words.prependAny(() => {}).offAny().onAnyOutgoing((event: string) => event).prependAnyOutgoing(() => {}).offAnyOutgoing();
words.listenersAny().length;
words.listeners("said")[0]?.("text", 1);
socket.io.on("reconnect_error", (err) => err.message);
socket.io.engine.on("upgrade", (transport) => transport.name);

export { answer, cause, hint, id, states, timed };
