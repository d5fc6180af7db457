// A transport that does nothing by itself: tests say what the server says, and read what it was sent.
import { mock } from "node:test";
import { Manager, Transport } from "../.build/index.js";

/** Makes a transport class and remembers every transport made of it. */
export function scripted(name = "script") {
  return class Script extends Transport {
    static made = [];
    sent = [];
    /** Whether writes are taken at once. */
    quick = true;
    resting;

    constructor(opts) {
      super(opts);
      Script.made.push(this);
    }
    static get last() {
      return Script.made.at(-1);
    }
    get name() {
      return name;
    }
    doOpen() {}
    doClose() {
      this.ended = true;
    }
    write(packets) {
      this.sent.push(...packets.map(({ type, data }) => (type === "message" ? data : data === undefined ? type : `${type} ${data}`)));
      this.writable = false;
      if (this.quick) Promise.resolve().then(() => this.take());
    }
    pause(paused) {
      this.resting = paused;
    }
    resume() {
      this.resting = undefined;
      this.resumed = true;
    }

    /** The server took what was written. */
    take() {
      this.writable = true;
      this.emitReserved("drain");
    }
    /** What was sent since the last time. */
    read() {
      return this.sent.splice(0);
    }
    /** The connection is there; `handshake` follows unless it is null. */
    accept(handshake = {}) {
      this.onOpen();
      if (handshake) this.receive("open", JSON.stringify({ sid: "S", upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1e6, ...handshake }));
    }
    receive(type, data) {
      this.onPacket({ type, data });
    }
    /** The server sends a Socket.IO message. */
    say(...messages) {
      for (const data of messages) this.receive("message", data);
    }
    fail(why = "script error") {
      this.onError(why, 500);
    }
    lose() {
      this.onClose({ description: "cable cut" });
    }
  };
}

/** A Manager over a scripted transport, with virtual time. */
export function scene(options = {}) {
  const Script = scripted();
  const manager = new Manager("http://localhost", { transports: [Script], randomizationFactor: 0, autoUnref: true, ...options });
  return { Script, manager, get wire() { return Script.last; } };
}

/** Lets everything that waits for nothing but its turn run. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Virtual time, for one test. */
export function virtualTime(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  return async (ms) => {
    mock.timers.tick(ms);
    await settle();
  };
}

/** Writes down the events of an emitter as they come. */
export function record(emitter, names, into = []) {
  for (const name of names) emitter.on(name, (...args) => into.push([name, ...args.map((each) => (each instanceof Error ? each.message : each))]));
  return into;
}
