/*! Sockeye browser client | MIT OR Apache-2.0 */
var __defProp = Object.defineProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};

// src/node.ts
var node_exports = {};
__export(node_exports, {
  Fetch: () => Fetch,
  Manager: () => Manager,
  NodeWebSocket: () => NodeWS,
  NodeXHR: () => NodePolling,
  Socket: () => Socket,
  Transport: () => Transport,
  TransportError: () => TransportError,
  WebSocket: () => WS,
  XHR: () => XHR,
  connect: () => io,
  default: () => io,
  io: () => io,
  protocol: () => protocol
});

// src/root.ts
var root = typeof self == "object" ? self : globalThis;
var onNode = typeof root.process == "object" && !!(root.process.versions && root.process.versions.node);

// src/address.ts
function address(uri, path = "", page = root.location) {
  const here = page && page.host ? page : void 0;
  const scheme = here ? here.protocol + "//" : "https://";
  let text = uri == null ? scheme + (here ? here.host : "localhost") : String(uri);
  if (text.length > 8e3) throw new Error("URI too long");
  if (text.slice(0, 2) == "//") text = scheme + text.slice(2);
  else if (text[0] == "/") text = scheme + (here ? here.host : "localhost") + text;
  else if (!/^(https?|wss?):\/\//i.test(text)) text = scheme + text;
  const parts = /^(\w+):\/\/(?:[^/?#]*@)?(?:\[([^\]]*)\]|([^/?#:]*))(?::(\d+))?([^?#]*)(?:\?([^#]*))?/.exec(text);
  if (!parts) throw new Error("not an address: " + text);
  const protocol2 = parts[1].toLowerCase();
  const host = parts[2] || parts[3] || "localhost";
  const port = parts[4] || (isSecure(protocol2) ? "443" : "80");
  const href = protocol2 + "://" + bracketed(host) + ":" + port;
  return { protocol: protocol2, host, port, path: parts[5] || "/", query: parts[6] || "", id: href + path, href };
}
function isSecure(protocol2) {
  return protocol2 == "https" || protocol2 == "wss";
}
function bracketed(host) {
  return host.includes(":") && host[0] != "[" ? "[" + host + "]" : host;
}
function encodeQuery(query) {
  return Object.keys(query).map((key) => encodeURIComponent(key) + "=" + encodeURIComponent(String(query[key]))).join("&");
}
function decodeQuery(text) {
  const query = /* @__PURE__ */ Object.create(null);
  for (const pair of text.replace(/^\?/, "").split("&")) {
    const [key, value] = pair.split("=");
    if (key) query[decode(key)] = decode(value || "");
  }
  return query;
}
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// src/backoff.ts
var Backoff = class {
  constructor(options = {}) {
    /** Attempts since the last success. */
    this.attempts = 0;
    // Doublings of the delay. Not the same as `attempts`: a server that accepts and drops at once would
    // otherwise be asked again at the shortest delay for ever.
    this._level = 0;
    this.min = options.min || 100;
    this.max = options.max || 1e4;
    this.jitter = options.jitter > 0 && options.jitter <= 1 ? options.jitter : 0;
  }
  /**
   * The delay before the next attempt: evenly spread over plan ± jitter, where the plan doubles each
   * time up to `max`. At the ceiling the upper half is cut off but the spread stays, so that a crowd
   * of clients does not come back in step.
   */
  duration(random = Math.random) {
    const plan = Math.min(this.max, this.min * 2 ** this._level);
    if (plan < this.max) this._level++;
    this.attempts++;
    const low = plan * (1 - this.jitter);
    const high = Math.min(this.max, plan * (1 + this.jitter));
    return Math.trunc(low + random() * (high - low));
  }
  /** Counts attempts from the start again. */
  reset() {
    this.attempts = 0;
  }
  /** The connection held long enough to be trusted: the next delay is the shortest again. */
  settle() {
    this._level = 0;
  }
  setMin(min) {
    this.min = min;
  }
  setMax(max) {
    this.max = max;
  }
  setJitter(jitter) {
    this.jitter = jitter;
  }
};

// src/emitter.ts
var Emitter = class {
  constructor() {
    this._listenersOf = /* @__PURE__ */ new Map();
  }
  /** Calls `listener` at every `event`; adding it twice calls it twice. */
  on(event, listener) {
    const list = this._listenersOf.get(event);
    if (list) list.push(listener);
    else this._listenersOf.set(event, [listener]);
    return this;
  }
  /** Calls `listener` at the next `event` only. */
  once(event, listener) {
    const wrapper = (...args) => {
      this.off(event, wrapper);
      listener.apply(this, args);
    };
    wrapper.inner = listener;
    return this.on(event, wrapper);
  }
  /** Removes one listener of `event`, all of them, or those of all events. */
  off(event, listener) {
    if (!event) this._listenersOf.clear();
    else if (!listener) this._listenersOf.delete(event);
    else {
      const list = this._listenersOf.get(event) || [];
      const at = list.findIndex((each) => each === listener || each.inner === listener);
      if (at >= 0) list.splice(at, 1);
      if (!list.length) this._listenersOf.delete(event);
    }
    return this;
  }
  /** Calls the listeners of `event`. (A `Socket` overrides this: there it sends to the server.) */
  emit(event, ...args) {
    return this._emit(event, args);
  }
  /** Calls the listeners of one of the library's own events. */
  emitReserved(event, ...args) {
    return this._emit(event, args);
  }
  /** The listeners of `event`, as they were given. */
  listeners(event) {
    return (this._listenersOf.get(event) || []).map((each) => each.inner || each);
  }
  /** Whether anybody listens to `event`. */
  hasListeners(event) {
    return this._listenersOf.has(event);
  }
  _emit(event, args) {
    for (const each of (this._listenersOf.get(event) || []).slice()) each.apply(this, args);
    return this;
  }
};
var proto = Emitter.prototype;
proto.addEventListener = proto.on;
proto.removeEventListener = proto.removeListener = proto.removeAllListeners = proto.off;
function listen(to, event, listener) {
  to.on(event, listener);
  return () => void to.off(event, listener);
}

// src/engine/page.ts
var LOOK = 5e3;
function watchPage(options, { look, lost, leave }) {
  const kept = (event) => event.persisted && lost("page hidden");
  const end = onPage({
    // The own machine is reachable without a network.
    offline: () => options.hostname != "localhost" && lost("network connection lost"),
    // A page with an open connection is not kept for the way back, or kept with a dead one. Who wants no word of
    // the end hears of it when there was none.
    pagehide: (event) => options.closeOnBeforeunload || kept(event),
    pageshow: kept,
    beforeunload: () => options.closeOnBeforeunload && leave(),
    online: look,
    focus: look,
    // The document's own event, but it bubbles to the window.
    visibilitychange: look
  });
  const timer = isPage && setInterval(look, LOOK);
  return () => {
    clearInterval(timer);
    end();
  };
}
function whenBack(then) {
  return onPage({
    online: then,
    // A page shown for the first time comes back from nowhere.
    pageshow: (event) => event.persisted && then()
  });
}
function onPage(handlers) {
  const each = (what) => {
    if (isPage) for (const name of Object.keys(handlers)) root[what](name, handlers[name]);
  };
  each("addEventListener");
  return () => each("removeEventListener");
}
var isPage = !onNode && root.addEventListener;

// src/timer.ts
var CEILING = 2147483647;
var nativeSet = setTimeout;
var nativeClear = clearTimeout;
function after(ms, options, then) {
  const native = options.useNativeTimers;
  const timer = (native ? nativeSet : setTimeout)(then, Math.min(ms, CEILING));
  if (options.autoUnref && timer.unref) timer.unref();
  return () => (native ? nativeClear : clearTimeout)(timer);
}
function soon(then) {
  Promise.resolve().then(then);
}

// src/engine/heartbeat.ts
var Heartbeat = class {
  constructor(_options, _missed) {
    this._options = _options;
    this._missed = _missed;
    this._patience = 0;
    this._deadline = Infinity;
    this._stopTimer = () => {
    };
  }
  /** Takes the times of the handshake. A server that talks nonsense gets the protocol's own defaults. */
  agree({ pingInterval, pingTimeout }) {
    this._patience = positive(pingInterval, 25e3) + positive(pingTimeout, 2e4);
  }
  /** The server was heard of: begins to wait for its next ping. */
  expect() {
    this.stop();
    this._deadline = Date.now() + this._patience;
    this._stopTimer = after(this._patience, this._options, this._missed);
  }
  stop() {
    this._stopTimer();
    this._deadline = Infinity;
  }
  /**
   * Whether the ping is overdue by the clock; the first time it is, `missed` is called soon. Timers sleep
   * with the machine, so this is asked before anything is sent: after a sleep it would go into the void.
   */
  expired() {
    const expired = Date.now() > this._deadline;
    if (expired) {
      this._deadline = Infinity;
      soon(this._missed);
    }
    return expired;
  }
};
function positive(value, otherwise) {
  return typeof value == "number" && value > 0 ? value : otherwise;
}

// src/engine/packet.ts
var TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
var SEPARATOR = "";
var MALFORMED = { type: "error", data: "parser error" };
function isBinary(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || typeof Blob == "function" && value instanceof Blob;
}
function encodePacket(packet, binary) {
  const data = packet.data;
  if (isBinary(data)) return binary ? data : "b" + toBase64(data);
  return "" + TYPES.indexOf(packet.type) + (data || "");
}
function decodePacket(wire, binaryType) {
  if (typeof wire != "string") return { type: "message", data: asBinaryType(wire, binaryType) };
  if (wire[0] == "b") {
    try {
      return { type: "message", data: asBinaryType(fromBase64(wire.slice(1)), binaryType) };
    } catch {
      return MALFORMED;
    }
  }
  const type = /^[0-6]/.test(wire) && TYPES[+wire[0]];
  if (!type) return MALFORMED;
  return wire.length > 1 ? { type, data: wire.slice(1) } : { type };
}
function encodePayload(packets) {
  return packets.map((packet) => encodePacket(packet, false)).join(SEPARATOR);
}
function decodePayload(text, binaryType) {
  const packets = [];
  for (const part of text.split(SEPARATOR)) {
    const packet = decodePacket(part, binaryType);
    packets.push(packet);
    if (packet.type == "error") break;
  }
  return packets;
}
function loadBlobs(packets) {
  const blobs = packets.filter((packet) => typeof Blob == "function" && packet.data instanceof Blob);
  if (!blobs.length) return;
  return Promise.all(
    // Response rather than blob.arrayBuffer(): the latter is two years younger in Safari.
    blobs.map((packet) => new Response(packet.data).arrayBuffer().then((bytes) => packet.data = bytes))
  );
}
function byteLength(data) {
  if (typeof data != "string") return Math.ceil((data.byteLength || data.size || 0) * 1.33);
  let length = data.length;
  for (let i = 0; i < data.length; i++) {
    const unit = data.charCodeAt(i);
    if (unit >= 128) length += unit < 2048 || unit >= 55296 && unit < 57344 ? 1 : 2;
  }
  return length;
}
function asBinaryType(bytes, binaryType) {
  const buffer = root.Buffer;
  if (binaryType == "nodebuffer" && buffer && bytes instanceof ArrayBuffer) return buffer.from(bytes);
  if (binaryType == "blob" && !(bytes instanceof Blob)) return new Blob([bytes]);
  return bytes;
}
function toBase64(data) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  let text = "";
  for (let i = 0; i < bytes.length; i += 16384) {
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + 16384));
  }
  return btoa(text);
}
function fromBase64(text) {
  const decoded = atob(text);
  const bytes = new Uint8Array(decoded.length);
  for (let i = 0; i < decoded.length; i++) bytes[i] = decoded.charCodeAt(i);
  return bytes.buffer;
}

// src/engine/error.ts
var TransportError = class extends Error {
  constructor(message, description, context, hint2) {
    super(message);
    this.description = description;
    this.context = context;
    this.hint = hint2;
    this.type = "TransportError";
    if (description instanceof Error) this.cause = description;
  }
};

// src/engine/transport.ts
var TRANSPORTS = /* @__PURE__ */ Object.create(null);
var Transport = class extends Emitter {
  constructor(opts) {
    super();
    /** Whether a write would leave at once. */
    this.writable = false;
    this.opts = opts;
    this.query = opts.query;
    this.supportsBinary = !opts.forceBase64;
  }
  open() {
    this.readyState = "opening";
    this.doOpen();
    return this;
  }
  close() {
    if (this.readyState != "closed") {
      this.doClose();
      this.onClose();
    }
    return this;
  }
  /** Sends packets; only to be called while `writable`. */
  send(packets) {
    if (this.readyState == "open") this.write(packets);
  }
  /** Comes to rest so that another transport can take over; calls `paused` when nothing is on its way. */
  pause(paused) {
    paused();
  }
  /** Goes on after a pause: the other transport failed at the last step. */
  resume() {
  }
  onOpen() {
    this.readyState = "open";
    this.writable = true;
    this.emitReserved("open");
  }
  onData(data) {
    this.onPacket(decodePacket(data, this.opts.binaryType));
  }
  onPacket(packet) {
    this.emitReserved("packet", packet);
  }
  onError(reason, description, context, hint2) {
    this.emitReserved("error", new TransportError(reason, description, context, hint2));
    return this;
  }
  onClose(details) {
    this.readyState = "closed";
    this.emitReserved("close", details);
  }
  /** The address of this transport's endpoint; `schema` without the s of encryption. */
  createUri(schema, query) {
    const { secure, hostname, port, path } = this.opts;
    const usual = secure ? 443 : 80;
    const search = encodeQuery(query);
    return schema + (secure ? "s" : "") + "://" + bracketed(hostname) + (port && +port != usual ? ":" + port : "") + path + (search && "?" + search);
  }
  /** The query with a value no cache has seen. */
  stamped() {
    const random = Date.now().toString(36).slice(3) + Math.random().toString(36).slice(2, 5);
    return { ...this.query, [this.opts.timestampParam]: random };
  }
};

// src/engine/session.ts
var websocketWorked = false;
var Session = class extends Emitter {
  constructor(uri, options = {}) {
    super();
    this.readyState = "closed";
    this.writeBuffer = [];
    this.binaryType = onNode ? "nodebuffer" : "arraybuffer";
    /** A probe was answered; the old transport is coming to rest. */
    this.upgrading = false;
    this._classes = /* @__PURE__ */ Object.create(null);
    this._upgrades = [];
    this._inFlight = 0;
    this._maxPayload = 0;
    this._stopListening = () => {
    };
    this._stopProbes = [];
    if (uri && typeof uri == "object") {
      options = uri;
      uri = void 0;
    }
    const opts = this.opts = {
      path: "/engine.io",
      addTrailingSlash: true,
      upgrade: true,
      timestampParam: "t",
      transportOptions: {},
      binaryType: this.binaryType,
      ...options
    };
    this._heartbeat = new Heartbeat(opts, () => this._closed("ping timeout"));
    const page = root.location;
    const from = uri || page && page.host ? address(uri) : void 0;
    if (uri && from) {
      opts.hostname = from.host;
      opts.port = from.port;
      opts.secure = isSecure(from.protocol);
      if (from.query && !opts.query) opts.query = from.query;
    }
    const elsewhere = opts.hostname || opts.host && address(opts.host).host;
    opts.secure = opts.secure ?? (!!from && isSecure(from.protocol));
    opts.port = opts.port || !elsewhere && from && from.port || (opts.secure ? 443 : 80);
    opts.hostname = elsewhere || (from ? from.host : "localhost");
    if (typeof opts.query == "string") opts.query = decodeQuery(opts.query);
    opts.path = opts.path.replace(/\/$/, "") + (opts.addTrailingSlash ? "/" : "");
    const classes = opts.transportImplementations;
    if (classes && opts.transports) {
      throw new Error("both `transports` and `transportImplementations`");
    }
    this.transports = (classes || opts.transports || Object.keys(TRANSPORTS)).map((each) => {
      if (typeof each == "string") return each;
      const name = each.prototype.name;
      this._classes[name] = each;
      return name;
    });
    this._open();
  }
  /** Sends a message. */
  send(data, options, flushed) {
    this._write("message", data, options, flushed);
    return this;
  }
  /** The same as `send`. */
  write(data, options, flushed) {
    return this.send(data, options, flushed);
  }
  /** Ends the session when what is buffered has left and a running upgrade is through. */
  close() {
    const close = () => this._closed("forced close");
    const settle = () => {
      if (!this.upgrading) return close();
      const go = () => {
        this.off("upgrade", go);
        this.off("upgradeError", go);
        close();
      };
      this.on("upgrade", go);
      this.on("upgradeError", go);
    };
    if (this.readyState == "opening" || this.readyState == "open") {
      this.readyState = "closing";
      if (this.writeBuffer.length) this.once("drain", settle);
      else settle();
    }
    return this;
  }
  /** Whether the session is about to end: the server should have been heard of by now, or `close` was called. */
  hasPingExpired() {
    return this.readyState == "closing" || this._heartbeat.expired();
  }
  _open() {
    if (!this.transports.length) {
      soon(() => this.emitReserved("error", "No transports available"));
      return;
    }
    const remembered = this.opts.rememberUpgrade && websocketWorked && this.transports.includes("websocket");
    this.readyState = "opening";
    const transport = this._create(remembered ? "websocket" : this.transports[0]);
    if (!transport) {
      soon(() => this._failed(new Error("unknown transport")));
      return;
    }
    this._stopListening = watchPage(this.opts, {
      look: () => this.hasPingExpired(),
      lost: (description) => this._closed("transport close", { description }),
      leave: () => this.transport.off().close()
    });
    this._use(transport);
    transport.open();
  }
  _create(name) {
    const Class = this._classes[name] || TRANSPORTS[name];
    if (!Class) return;
    const query = { ...this.opts.query, EIO: 4, transport: name };
    if (this.id) query.sid = this.id;
    return new Class({ ...this.opts, query, socket: this, ...this.opts.transportOptions[name] });
  }
  _use(transport) {
    if (this.transport) this.transport.off();
    this.transport = transport;
    transport.on("drain", () => this._drained()).on("packet", (packet) => this._received(packet)).on("error", (err) => this._failed(err)).on("close", (details) => this._closed("transport close", details));
  }
  _received(packet) {
    if (this.readyState == "closed") return;
    this.emitReserved("packet", packet);
    this.emitReserved("heartbeat");
    switch (packet.type) {
      case "open":
        return this._opened(packet.data);
      case "ping":
        this._write("pong");
        this.emitReserved("ping");
        this.emitReserved("pong");
        return this._heartbeat.expect();
      case "message":
        this.emitReserved("data", packet.data);
        this.emitReserved("message", packet.data);
        return;
      case "error":
        return this._failed(Object.assign(new Error("server error"), { code: packet.data }));
    }
  }
  _opened(text) {
    let data;
    try {
      data = JSON.parse(text);
      if (typeof data.sid != "string" || !data.sid || this.id) throw 0;
    } catch {
      return this._failed(new Error("invalid handshake"));
    }
    this.emitReserved("handshake", data);
    this.id = this.transport.query.sid = data.sid;
    this._heartbeat.agree(data);
    this._maxPayload = positive(data.maxPayload, Infinity);
    this._upgrades = Array.isArray(data.upgrades) ? data.upgrades.filter((each) => this.transports.includes(each) && each != this.transport.name) : [];
    if (this.readyState == "opening") {
      this.readyState = "open";
      websocketWorked = this.transport.name == "websocket";
      this.emitReserved("open");
      this._flush();
    }
    if (this.readyState == "open" && this.opts.upgrade) this._upgrades.forEach((name) => this._probe(name));
    if (this.readyState != "closed") this._heartbeat.expect();
  }
  /** Tries a better transport beside the one in use: `2probe`, `3probe`, pause the old one, `5`. */
  _probe(name) {
    const probe = this._create(name);
    if (!probe) return;
    const end = () => {
      probe.off();
      this._stopProbes = this._stopProbes.filter((each) => each != abandon);
    };
    const abandon = () => {
      end();
      probe.close();
    };
    const fail = (why) => {
      abandon();
      if (this.upgrading) this.transport.resume();
      this.upgrading = false;
      const err = Object.assign(new Error("probe error: " + (why.message || why)), {
        transport: name,
        cause: why,
        hint: why.hint
      });
      this.emitReserved("upgradeError", err);
      this._flush();
    };
    probe.once("open", () => {
      probe.once("packet", (packet) => {
        if (packet.type != "pong" || packet.data != "probe") return fail("unexpected packet");
        this._stopProbes.forEach((each) => each != abandon && each());
        this.upgrading = true;
        this.emitReserved("upgrading", probe);
        websocketWorked = name == "websocket";
        this.transport.pause(() => {
          if (this.readyState == "closed" || !this._stopProbes.includes(abandon)) return;
          end();
          this._use(probe);
          probe.send([{ type: "upgrade" }]);
          this.upgrading = false;
          this.emitReserved("upgrade", probe);
          this._flush();
        });
      });
      probe.send([{ type: "ping", data: "probe" }]);
    }).once("error", fail).once("close", () => fail("transport closed"));
    websocketWorked = false;
    this._stopProbes.push(abandon);
    probe.open();
  }
  _write(type, data, options = {}, flushed) {
    if (this.readyState == "closing" || this.readyState == "closed") return;
    const packet = { type, data, options: { ...options, compress: options.compress !== false } };
    this.emitReserved("packetCreate", packet);
    this.writeBuffer.push(packet);
    if (flushed) this.once("flush", flushed);
    this._flush();
  }
  _flush() {
    if (this.readyState == "closed" || !this.transport.writable || this.upgrading || !this.writeBuffer.length) return;
    const batch = this._batch();
    this._inFlight = batch.length;
    this.transport.send(batch);
    this.emitReserved("flush");
  }
  /** As much of the buffer as the server takes in one polling request, at least one packet. */
  _batch() {
    if (this.transport.name != "polling") return this.writeBuffer.slice();
    let size = 0;
    const end = this.writeBuffer.findIndex((packet, at) => {
      size += 2 + (packet.data ? byteLength(packet.data) : 0);
      return at > 0 && size - 1 > this._maxPayload;
    });
    return end < 0 ? this.writeBuffer.slice() : this.writeBuffer.slice(0, end);
  }
  _drained() {
    this.writeBuffer.splice(0, this._inFlight);
    this._inFlight = 0;
    if (this.writeBuffer.length) this._flush();
    else this.emitReserved("drain");
  }
  _failed(err) {
    websocketWorked = false;
    if (this.opts.tryAllTransports && this.transports.length > 1 && this.readyState == "opening") {
      this.transports.shift();
      this._stopListening();
      return this._open();
    }
    this.emitReserved("error", err);
    this._closed("transport error", err);
  }
  _closed(reason, description) {
    if (this.readyState == "closed") return;
    this.readyState = "closed";
    this._heartbeat.stop();
    this._stopProbes.forEach((each) => each());
    this._stopListening();
    if (this.transport) this.transport.off().close();
    this.id = null;
    this.emitReserved("close", reason, description);
    this.writeBuffer = [];
    this._inFlight = 0;
  }
};

// src/socket/packet.ts
var protocol = 5;
var RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
function isPacketValid({ type, nsp, data, id }) {
  if (typeof nsp != "string" || id !== void 0 && !Number.isSafeInteger(id)) return false;
  switch (type) {
    case 0 /* CONNECT */:
      return (data === void 0 || isObject(data)) && id === void 0;
    case 1 /* DISCONNECT */:
      return data === void 0;
    case 4 /* CONNECT_ERROR */:
      return data === void 0 || typeof data == "string" || isObject(data);
    case 2 /* EVENT */:
    case 5 /* BINARY_EVENT */:
      return Array.isArray(data) && (typeof data[0] == "number" || typeof data[0] == "string" && !RESERVED.includes(data[0]));
    case 3 /* ACK */:
    case 6 /* BINARY_ACK */:
      return Array.isArray(data) && id !== void 0;
    default:
      return false;
  }
}
function isObject(value) {
  return typeof value == "object" && value !== null && !Array.isArray(value);
}

// src/socket/parser.ts
var MAX_ATTACHMENTS = 10;
var MAX_DEPTH = 128;
var Encoder = class {
  /** One text, and after it the binaries it announces. */
  encode(packet) {
    const { nsp, data, id } = packet;
    const attachments = [];
    const carries = packet.type == 2 /* EVENT */ || packet.type == 3 /* ACK */;
    const json = data == null ? "" : JSON.stringify(data, function(key, value) {
      const raw = this[key];
      return carries && isBinary(raw) ? { "_placeholder": true, "num": attachments.push(raw) - 1 } : value;
    });
    const count = attachments.length;
    const type = count ? packet.type + 3 : packet.type;
    const text = type + (count ? count + "-" : "") + (nsp && nsp != "/" ? nsp + "," : "") + (id != null ? id : "") + json;
    return [text, ...attachments];
  }
};
var Decoder = class extends Emitter {
  /** Takes one Engine.IO message; emits `decoded` when a packet is complete; throws if it never will be. */
  add(message) {
    const pending = this._pending;
    if (typeof message == "string") {
      if (pending) throw new Error("unexpected text");
      const { packet, count } = this._read(message);
      if (count) this._pending = { packet, attachments: [], count };
      else this.emitReserved("decoded", packet);
    } else if (isBinary(message)) {
      if (!pending) throw new Error("unexpected binary");
      if (pending.attachments.push(message) < pending.count) return;
      this._pending = void 0;
      const { packet, attachments } = pending;
      packet.data = fill(packet.data, attachments, 0);
      if (attachments.some((each) => each !== USED)) throw new Error("illegal attachments");
      this.emitReserved("decoded", packet);
    } else {
      throw new Error("unexpected message");
    }
  }
  /** Forgets a half-received packet. */
  destroy() {
    this._pending = void 0;
  }
  _read(text) {
    const parts = /^([0-6])(?:([1-9]\d*)-)?(\/[^,]*(?:,|$))?(\d+)?(?!\s)/.exec(text);
    if (!parts) throw new Error("unknown packet type");
    const wire = +parts[1];
    const binary = wire >= 5 /* BINARY_EVENT */;
    const count = +(parts[2] || 0);
    if (binary != !!count || count > MAX_ATTACHMENTS) throw new Error("illegal attachments");
    const packet = { type: binary ? wire - 3 : wire, nsp: (parts[3] || "/").replace(/,$/, "") };
    if (parts[4]) packet.id = +parts[4];
    const json = text.slice(parts[0].length);
    if (json) packet.data = JSON.parse(json);
    if (!isPacketValid(packet)) throw new Error("invalid payload");
    return { packet, count };
  }
};
var USED = {};
function fill(value, attachments, depth) {
  if (typeof value != "object" || value === null) return value;
  if (depth > MAX_DEPTH) throw new Error("nested too deep");
  if (value["_placeholder"] === true) {
    const at = value["num"];
    const bytes = Number.isInteger(at) && attachments[at];
    if (!bytes || bytes === USED) throw new Error("illegal attachments");
    attachments[at] = USED;
    return bytes;
  }
  for (const key of Object.keys(value)) value[key] = fill(value[key], attachments, depth + 1);
  return value;
}

// src/socket.ts
var Socket = class extends Emitter {
  constructor(io2, nsp, opts) {
    super();
    this.io = io2;
    this.nsp = nsp;
    this.connected = false;
    /** Whether the last connection took up where the one before it broke off. */
    this.recovered = false;
    /** Events from the server that came before its answer to CONNECT. */
    this.receiveBuffer = [];
    /** Packets waiting for the connection. */
    this.sendBuffer = [];
    this._flags = {};
    this._acks = /* @__PURE__ */ new Map();
    this._nextId = 0;
    this._queue = [];
    this._attempt = 0;
    this._anyIn = [];
    this._anyOut = [];
    this._opts = { ...opts };
    this.auth = opts && opts.auth;
    if (io2.opts.autoConnect !== false) this.open();
  }
  /** Whether there is no connection. */
  get disconnected() {
    return !this.connected;
  }
  /** Whether this socket is connected, or will connect by itself. */
  get active() {
    return !!this._subs;
  }
  /** Connects, and from then on connects again by itself. */
  connect() {
    if (this.connected) return this;
    if (!this._subs) {
      const io2 = this.io;
      this._subs = [
        listen(io2, "open", () => this._opened()),
        listen(io2, "packet", (packet) => this._received(packet)),
        listen(io2, "error", (err) => this.connected || this.emitReserved("connect_error", err)),
        listen(io2, "close", (reason, description) => this._closed(reason, description))
      ];
    }
    if (!this.io._isReconnecting()) this.io.open();
    if (this.io._isOpen()) this._opened();
    return this;
  }
  /** The same as `connect`. */
  open() {
    return this.connect();
  }
  /** Leaves the namespace and stays away until `connect()`. */
  disconnect() {
    if (this.connected) this._packet({ type: 1 /* DISCONNECT */ });
    this._destroy();
    if (this.connected) this._closed("io client disconnect");
    return this;
  }
  /** The same as `disconnect`. */
  close() {
    return this.disconnect();
  }
  /** Sends the event `message`. */
  send(...args) {
    return this.emit("message", ...args);
  }
  /** Sends an event; a function as last argument is called with the acknowledgement. */
  emit(event, ...params) {
    if (RESERVED.includes(event)) throw new Error(`"${event}" is a reserved event name`);
    const args = [event, ...params];
    const flags = this._flags;
    this._flags = {};
    if (this._opts.retries > 0 && !flags.queued && !flags.volatile) {
      this._enqueue(args, flags);
      return this;
    }
    const packet = {
      type: 2 /* EVENT */,
      nsp: this.nsp,
      data: args,
      options: { compress: flags.compress !== false }
    };
    if (typeof args[args.length - 1] == "function") {
      packet.id = this._nextId++;
      this._expectAck(packet.id, args.pop(), flags.timeout ?? this._opts.ackTimeout);
    }
    const session = this.io.engine;
    const alive = this.connected && !session.hasPingExpired();
    if (flags.volatile) {
      if (alive && session.transport.writable) this._sendOut(packet);
    } else if (alive) this._sendOut(packet);
    else {
      this.sendBuffer.push(packet);
      this._cap(this.sendBuffer, 0);
    }
    return this;
  }
  /** Sends an event and waits for its acknowledgement; rejects when time is up or the connection lost. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => {
      const ack = (err, result) => err ? reject(err) : resolve(result);
      ack.errorFirst = true;
      this.emit(event, ...args, ack);
    });
  }
  /** Whether the next event is worth compressing. */
  compress(value) {
    this._flags.compress = value;
    return this;
  }
  /** The next event may be lost rather than wait. */
  get volatile() {
    this._flags.volatile = true;
    return this;
  }
  /** How long the acknowledgement of the next event may take, in milliseconds. */
  timeout(ms) {
    this._flags.timeout = ms;
    return this;
  }
  /** Hears of every event from the server. */
  onAny(listener) {
    this._anyIn.push(listener);
    return this;
  }
  /** The same, before all others. */
  prependAny(listener) {
    this._anyIn.unshift(listener);
    return this;
  }
  /** Removes one such listener, or all. */
  offAny(listener) {
    this._anyIn = without(this._anyIn, listener);
    return this;
  }
  listenersAny() {
    return this._anyIn;
  }
  /** Hears of every event as it leaves. */
  onAnyOutgoing(listener) {
    this._anyOut.push(listener);
    return this;
  }
  /** The same, before all others. */
  prependAnyOutgoing(listener) {
    this._anyOut.unshift(listener);
    return this;
  }
  /** Removes one such listener, or all. */
  offAnyOutgoing(listener) {
    this._anyOut = without(this._anyOut, listener);
    return this;
  }
  listenersAnyOutgoing() {
    return this._anyOut;
  }
  /** Makes room in a list over its cap, sparing what comes before `first`. */
  _cap(list, first) {
    const { packets = Infinity, bytes = Infinity, drop, dropped } = this._opts.sendBuffer || {};
    const size = (sum, each) => sum + (each.size = each.size || this.io._size({ type: 2 /* EVENT */, nsp: this.nsp, data: each.data }));
    while (list.length > first && (list.length > packets || bytes < Infinity && list.reduce(size, 0) > bytes)) {
      const { id, ack = this._acks.get(id), data } = list.splice(drop == "newest" ? -1 : first, 1)[0];
      this._acks.delete(id);
      if (ack && (ack.errorFirst || id === void 0)) ack(new Error("the send buffer is full"));
      if (dropped) dropped(data);
    }
  }
  _packet(packet) {
    packet.nsp = this.nsp;
    this.io._packet(packet);
  }
  _sendOut(packet) {
    for (const each of this._anyOut.slice()) each.apply(this, packet.data);
    this._packet(packet);
  }
  _expectAck(id, ack, timeout) {
    if (timeout === void 0) {
      this._acks.set(id, ack);
      return;
    }
    const cancel = after(timeout, this.io.opts, () => {
      this._acks.delete(id);
      this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
      ack.call(this, new Error("operation has timed out"));
    });
    const timed = (...args) => {
      cancel();
      ack.apply(this, args);
    };
    timed.errorFirst = true;
    this._acks.set(id, timed);
  }
  _opened() {
    const attempt = ++this._attempt;
    const send = (data) => {
      if (attempt != this._attempt || !this.io._isOpen()) return;
      this._packet({
        type: 0 /* CONNECT */,
        data: this._pid ? { pid: this._pid, offset: this._offset, ...data } : data
      });
    };
    if (typeof this.auth != "function") return send(this.auth);
    const promise = this.auth(send);
    if (promise && promise.then) promise.then(send, (err) => attempt == this._attempt && this._refused(err));
  }
  _refused(err) {
    this._destroy();
    this.emitReserved("connect_error", err);
  }
  _closed(reason, description) {
    const was = this.connected;
    this._attempt++;
    this.connected = false;
    this.id = void 0;
    if (was) this.emitReserved("disconnect", reason, description);
    this._acks.forEach((ack, id) => {
      if (this.sendBuffer.some((packet) => packet.id === id)) return;
      this._acks.delete(id);
      if (ack.errorFirst) ack.call(this, new Error("socket has been disconnected"));
    });
  }
  _received(packet) {
    if (packet.nsp != this.nsp) return;
    const { data } = packet;
    switch (packet.type) {
      case 0 /* CONNECT */:
        if (data && data.sid) this._connected(data);
        else {
          this.emitReserved(
            "connect_error",
            new Error("the server is older than socket.io 3: it needs socket.io-client 2")
          );
        }
        break;
      case 2 /* EVENT */:
      case 5 /* BINARY_EVENT */:
        this._event(packet);
        break;
      case 3 /* ACK */:
      case 6 /* BINARY_ACK */: {
        const ack = this._acks.get(packet.id);
        if (!ack) break;
        this._acks.delete(packet.id);
        ack.apply(this, ack.errorFirst ? [null, ...data] : data);
        break;
      }
      case 1 /* DISCONNECT */:
        this._destroy();
        this._closed("io server disconnect");
        break;
      case 4 /* CONNECT_ERROR */: {
        const refusal = isObject(data) ? data : { message: data };
        this._refused(Object.assign(new Error(refusal.message), { data: refusal.data }));
      }
    }
  }
  _connected({ sid, pid, offset }) {
    this.id = sid;
    this.recovered = !!pid && this._pid === pid;
    if (!this.recovered) this._offset = void 0;
    this._pid = pid;
    if (typeof offset == "string" && this._offset === void 0) this._offset = offset;
    this.connected = true;
    for (const args of this.receiveBuffer.splice(0)) this._deliver(args);
    for (const packet of this.sendBuffer.splice(0)) this._sendOut(packet);
    this._drain(true);
    this.emitReserved("connect");
  }
  _event({ data, id }) {
    const args = data;
    if (id !== void 0) args.push(this._ackFor(id));
    if (this.connected) this._deliver(args);
    else this.receiveBuffer.push(args);
  }
  _deliver(args) {
    for (const each of this._anyIn.slice()) each.apply(this, args);
    this._emit(args[0], args.slice(1));
    const last = args[args.length - 1];
    if (this._pid && args.length > 1 && isOffset(last)) this._offset = last;
  }
  _ackFor(id) {
    let sent = false;
    return (...data) => {
      if (sent) return;
      sent = true;
      this._packet({ type: 3 /* ACK */, id, data });
    };
  }
  _enqueue(args, flags) {
    const ack = typeof args[args.length - 1] == "function" ? args.pop() : void 0;
    const entry = { data: args, flags: { ...flags, queued: true }, tries: 0, pending: false, ack };
    this._queue.push(entry);
    if (!this.connected) {
      this._cap(this._queue, this._queue[0].tries && 1);
    }
    this._drain();
  }
  /** Sends the head of the line of `retries`; `again` even if it was sent, as that was on a lost connection. */
  _drain(again = false) {
    const head = this._queue[0];
    if (!this.connected || !head || head.pending && !again) return;
    head.pending = true;
    const attempt = ++head.tries;
    const answer = (err, ...results) => {
      if (head !== this._queue[0] || attempt != head.tries) return;
      head.pending = false;
      if (!err || head.tries > this._opts.retries) {
        this._queue.shift();
        if (head.ack) err ? head.ack(err) : head.ack(null, ...results);
      }
      this._drain();
    };
    answer.errorFirst = true;
    this._flags = head.flags;
    this.emit(...head.data, answer);
  }
  _destroy() {
    if (this._subs) this._subs.forEach((end) => end());
    this._subs = void 0;
    this._attempt++;
    this.io._destroy();
  }
};
function without(list, listener) {
  if (!listener) return [];
  const at = list.indexOf(listener);
  return list.filter((_, index) => index != at);
}
function isOffset(value) {
  return typeof value == "string" && /^[\w.-]{1,64}$/.test(value);
}

// src/manager.ts
var STABLE = 6e4;
var Manager = class extends Emitter {
  constructor(uri, options) {
    super();
    /** The sockets by namespace. */
    this.nsps = /* @__PURE__ */ Object.create(null);
    this._readyState = "closed";
    this._reconnecting = false;
    this._givenUp = false;
    this._openedAt = Infinity;
    this._cleanups = [];
    if (uri && typeof uri == "object") {
      options = uri;
      uri = void 0;
    }
    const opts = this.opts = { ...options, path: options && options.path || "/socket.io" };
    this._uri = uri;
    this.backoff = new Backoff();
    this.reconnection(opts.reconnection !== false);
    this.reconnectionAttempts(opts.reconnectionAttempts || Infinity);
    this.reconnectionDelay(opts.reconnectionDelay || 1e3);
    this.reconnectionDelayMax(opts.reconnectionDelayMax || 5e3);
    this.randomizationFactor(opts.randomizationFactor ?? 0.5);
    this.timeout(opts.timeout ?? 2e4);
    const parser = opts.parser || { Encoder, Decoder };
    this._encoder = new parser.Encoder();
    this._decoder = new parser.Decoder();
    if (opts.autoConnect !== false) this.open();
  }
  reconnection(value) {
    if (value === void 0) return this._reconnection;
    this._reconnection = !!value;
    if (!value) this._givenUp = true;
    return this;
  }
  reconnectionAttempts(value) {
    if (value === void 0) return this._attempts;
    this._attempts = value;
    return this;
  }
  reconnectionDelay(value) {
    if (value === void 0) return this._delay;
    this.backoff.setMin(this._delay = value);
    return this;
  }
  reconnectionDelayMax(value) {
    if (value === void 0) return this._delayMax;
    this.backoff.setMax(this._delayMax = value);
    return this;
  }
  randomizationFactor(value) {
    if (value === void 0) return this._jitter;
    this.backoff.setJitter(this._jitter = value);
    return this;
  }
  timeout(value) {
    if (value === void 0) return this._timeout;
    this._timeout = value;
    return this;
  }
  /** Opens the connection; `opened` hears of the outcome, and then there is no automatic next attempt. */
  open(opened) {
    if (this._readyState != "closed") return this;
    this._readyState = "opening";
    this._givenUp = false;
    const session = this.engine = new Session(this._uri, this.opts);
    const settle = [
      listen(session, "open", () => {
        this._settle(settle);
        this._opened();
        if (opened) opened();
      }),
      listen(session, "error", (err) => fail(err)),
      // A transport may end before the handshake without having failed.
      listen(session, "close", (reason) => fail(new Error(reason)))
    ];
    const fail = (err) => {
      this._settle(settle);
      this._cleanup();
      this._readyState = "closed";
      this.emitReserved("error", err);
      if (opened) opened(err);
      else this._maybeReconnect();
    };
    if (this._timeout !== false) {
      settle.push(
        after(this._timeout, this.opts, () => {
          this._settle(settle);
          session.close();
          fail(new Error("timeout"));
        })
      );
    }
    this._cleanups.push(() => this._settle(settle));
    return this;
  }
  /** The same as `open`. */
  connect(opened) {
    return this.open(opened);
  }
  /** The socket of a namespace; the same one each time. */
  socket(nsp, opts) {
    const known = this.nsps[nsp];
    if (!known) return this.nsps[nsp] = new Socket(this, nsp, opts);
    if (this.opts.autoConnect !== false && !known.active) known.connect();
    return known;
  }
  /** Closes the connection for all its sockets, and does not open it again. */
  disconnect() {
    this._givenUp = true;
    this._reconnecting = false;
    this._closed("forced close");
  }
  /** Whether an attempt is waiting or under way. */
  _isReconnecting() {
    return this._reconnecting;
  }
  _isOpen() {
    return this._readyState == "open";
  }
  /** A socket is done: when none is left, so is the connection. */
  _destroy() {
    for (const nsp of Object.keys(this.nsps)) if (this.nsps[nsp].active) return;
    this.disconnect();
  }
  _packet(packet) {
    for (const each of this._encoder.encode(packet)) this.engine.write(each, packet.options);
  }
  _settle(settle) {
    settle.splice(0).forEach((end) => end());
  }
  _opened() {
    this._cleanup();
    this._readyState = "open";
    this._openedAt = Date.now();
    this.emitReserved("open");
    const session = this.engine;
    this._cleanups.push(
      listen(session, "ping", () => this.emitReserved("ping")),
      listen(session, "data", (data) => {
        try {
          this._decoder.add(data);
        } catch (err) {
          this._closed("parse error", err);
        }
      }),
      listen(session, "error", (err) => this.emitReserved("error", err)),
      listen(session, "close", (reason, description) => this._closed(reason, description)),
      // Later, so that what a listener throws is not taken for a malformed packet.
      listen(this._decoder, "decoded", (packet) => soon(() => this.emitReserved("packet", packet))),
      () => this._decoder.destroy()
    );
  }
  /** About how many bytes a packet takes. */
  _size(packet) {
    return this._encoder.encode(packet).reduce((sum, part) => sum + (part.length || part.byteLength || part.size), 0);
  }
  _cleanup() {
    this._cleanups.splice(0).forEach((end) => end());
  }
  _closed(reason, description) {
    this._cleanup();
    if (this.engine) this.engine.close();
    this.backoff.reset();
    if (Date.now() - this._openedAt >= STABLE) this.backoff.settle();
    this._openedAt = Infinity;
    this._readyState = "closed";
    this.emitReserved("close", reason, description);
    if (this._reconnection && !this._givenUp) this._reconnect();
  }
  _maybeReconnect() {
    if (!this._reconnecting && this._reconnection && !this.backoff.attempts) this._reconnect();
  }
  _reconnect(lastError) {
    if (this._reconnecting || this._givenUp) return;
    if (this.backoff.attempts >= this._attempts) {
      this.backoff.reset();
      if (lastError) this.emitReserved("reconnect_error", lastError);
      this.emitReserved("reconnect_failed");
      return;
    }
    if (lastError) this.emitReserved("reconnect_error", lastError);
    if (this._givenUp) return;
    this._reconnecting = true;
    let waiting = true;
    const attempt = () => {
      if (!waiting) return;
      end();
      if (this._givenUp) return;
      this.emitReserved("reconnect_attempt", this.backoff.attempts);
      if (this._givenUp) return;
      this.open((err) => {
        this._reconnecting = false;
        if (err) return this._reconnect(err);
        const attempt2 = this.backoff.attempts;
        this.backoff.reset();
        this.emitReserved("reconnect", attempt2);
      });
    };
    const ends = [after(this.backoff.duration(), this.opts, attempt), whenBack(attempt)];
    const end = () => {
      waiting = false;
      ends.forEach((each) => each());
    };
    this._cleanups.push(end);
  }
};

// src/client.ts
var cache = /* @__PURE__ */ new Map();
function io(uri, opts) {
  if (uri && typeof uri == "object") {
    opts = uri;
    uri = void 0;
  }
  opts = { ...opts };
  const at = address(uri, opts.path || "/socket.io");
  if (at.query && !opts.query) opts.query = decodeQuery(at.query);
  const known = cache.get(at.id);
  const own = opts.forceNew || opts["force new connection"] || opts.multiplex === false || known && at.path in known.nsps;
  let manager = known;
  if (own || !manager) {
    manager = new Manager(at.href, opts);
    if (!own) cache.set(at.id, manager);
  }
  return manager.socket(at.path, opts);
}
Object.assign(io, { io, connect: io, Manager, Socket, protocol });

// src/engine/polling.ts
var HINTS = {
  // The codes of Engine.IO's own refusals.
  0: "the server does not offer this transport",
  1: "the server does not know this session: of several servers, one client needs always the same",
  3: "the server's rules or a proxy forbid this request",
  4: "the server forbids it",
  5: "the server speaks another version of the protocol",
  404: "no Socket.IO server there: check the option `path`",
  413: "larger than the server's `maxPayload` (maxHttpBufferSize)",
  502: "the proxy does not reach the server"
};
function hint(status, answer, host) {
  const code = status && /"code":(\d)/.exec(answer);
  if (code) return HINTS[+code[1]];
  if (status) return HINTS[status > 502 ? 502 : status];
  const page = root.location;
  const elsewhere = page && page.host && page.hostname != host;
  return "no answer: is the server up" + (elsewhere ? ", and does its CORS allow " + page.origin : "") + "?";
}
var Polling = class extends Transport {
  constructor() {
    super(...arguments);
    this._polling = false;
    this._paused = () => {
    };
  }
  get name() {
    return "polling";
  }
  doOpen() {
    this._poll();
  }
  /** Lets the waiting GET and the running POST end; the server answers the GET as soon as it knows. */
  pause(paused) {
    this.readyState = "pausing";
    this._paused = paused;
    this._rest();
  }
  resume() {
    if (this.readyState != "pausing" && this.readyState != "paused") return;
    this.readyState = "open";
    if (!this._polling) this._poll();
  }
  doClose() {
    const abort = () => this.abort();
    if (this.readyState != "open") return abort();
    this.request("1").then(abort, abort);
  }
  write(packets) {
    this.writable = false;
    const post = () => this.request(encodePayload(packets)).then(
      () => {
        this.writable = true;
        this.emitReserved("drain");
        this._rest();
      },
      (failure) => this._failed(failure)
    );
    const loading = loadBlobs(packets);
    if (loading) loading.then(post, (failure) => this._failed(failure));
    else post();
  }
  _poll() {
    this._polling = true;
    this.emitReserved("poll");
    this.request().then(
      (body) => this._received(body),
      (failure) => this._failed(failure)
    );
  }
  _received(body) {
    for (const packet of decodePayload(body, this.opts.binaryType)) {
      if (this.readyState == "closed") return;
      if (this.readyState == "opening" && packet.type == "open") this.onOpen();
      if (packet.type == "close") return this.onClose({ description: "transport closed by the server" });
      this.onPacket(packet);
    }
    if (this.readyState == "closed") return;
    this._polling = false;
    this.emitReserved("pollComplete");
    if (this.readyState == "open") this._poll();
    else this._rest();
  }
  _rest() {
    if (this.readyState != "pausing" || this._polling || !this.writable) return;
    this.readyState = "paused";
    this._paused();
  }
  _failed(failure) {
    if (this.readyState != "closed") this.emitReserved("error", failure);
  }
  /** Where the next request goes. */
  uri() {
    const query = this.opts.timestampRequests === false ? { ...this.query } : this.stamped();
    if (!this.supportsBinary && !query.sid) query.b64 = 1;
    return this.createUri("http", query);
  }
  /** What a failed request is reported as; `body` tells a POST from a GET, and `answer` is the text it got. */
  failure(body, description, context, answer) {
    const why = hint(+description || 0, answer, this.opts.hostname);
    return new TransportError(body == null ? "xhr poll error" : "xhr post error", description, context, why);
  }
};

// src/engine/fetch.ts
var Fetch = class extends Polling {
  abort() {
    if (this._abort) this._abort.abort();
  }
  request(body) {
    const { withCredentials, extraHeaders, requestTimeout } = this.opts;
    const abort = new AbortController();
    if (body == null) this._abort = abort;
    const timer = requestTimeout ? setTimeout(() => abort.abort(), requestTimeout) : void 0;
    const headers = new Headers(extraHeaders);
    if (body != null) headers.set("content-type", "text/plain;charset=UTF-8");
    return fetch(this.uri(), {
      method: body == null ? "GET" : "POST",
      body,
      headers,
      signal: abort.signal,
      // What XMLHttpRequest does: cookies go home, and elsewhere only if asked for.
      credentials: withCredentials ? "include" : "same-origin",
      // The session id must not be carried to wherever an answer points.
      redirect: "error",
      cache: "no-store"
    }).then(
      (response) => response.text().then((text) => {
        if (response.status != 200) throw this.failure(body, response.status, response, text);
        return text;
      })
    ).then(
      (text) => (clearTimeout(timer), text),
      (failure) => {
        clearTimeout(timer);
        throw failure.type ? failure : this.failure(body, failure, failure);
      }
    );
  }
};

// src/engine/websocket.ts
var WS = class extends Transport {
  constructor() {
    super(...arguments);
    /** Whether the platform sends a Blob by itself. */
    this.takesBlobs = true;
  }
  get name() {
    return "websocket";
  }
  doOpen() {
    const query = this.opts.timestampRequests ? this.stamped() : { ...this.query };
    if (!this.supportsBinary) query.b64 = 1;
    let ws;
    try {
      ws = this.socket(this.createUri("ws", query));
    } catch (err) {
      soon(() => this.onError("websocket error", err));
      return;
    }
    this._ws = ws;
    ws.binaryType = this.opts.binaryType == "blob" ? "blob" : "arraybuffer";
    ws.onopen = () => this.onOpen();
    ws.onclose = (context) => this.onClose({ description: "websocket connection closed", context });
    ws.onmessage = (event) => this.onData(event.data);
    ws.onerror = (event) => this.onError(
      "websocket error",
      event,
      void 0,
      // Browsers do not say why, so that no page can look around in a network by it.
      this.readyState == "opening" ? "no WebSocket at " + ws.url.split("?")[0] + ", or something on the way blocks it" : void 0
    );
  }
  /** The platform's own; the entry for Node has another. */
  socket(uri) {
    return new WebSocket(uri, this.opts.protocols || []);
  }
  doClose() {
    const ws = this._ws;
    if (!ws) return;
    ws.onopen = ws.onclose = ws.onmessage = null;
    ws.onerror = () => {
    };
    ws.close();
  }
  write(packets) {
    this.writable = false;
    const send = () => {
      if (this.readyState == "closed") return;
      try {
        for (const packet of packets) this._ws.send(encodePacket(packet, this.supportsBinary));
      } catch {
      }
      soon(() => {
        this.writable = true;
        this.emitReserved("drain");
      });
    };
    const loading = this.supportsBinary && this.takesBlobs ? void 0 : loadBlobs(packets);
    if (loading) loading.then(send, (err) => this.onError("websocket error", err));
    else send();
  }
};

// src/engine/xhr.ts
var XHR = class extends Polling {
  abort() {
    if (this._get) this._get.abort();
  }
  request(body) {
    return new Promise((resolve, reject) => {
      const { withCredentials, extraHeaders, requestTimeout } = this.opts;
      const xhr = new XMLHttpRequest();
      if (body == null) this._get = xhr;
      xhr.open(body == null ? "GET" : "POST", this.uri());
      for (const name of Object.keys(extraHeaders || {})) xhr.setRequestHeader(name, extraHeaders[name]);
      if (body != null) xhr.setRequestHeader("content-type", "text/plain;charset=UTF-8");
      xhr.withCredentials = !!withCredentials;
      xhr.timeout = requestTimeout || 0;
      xhr.onloadend = () => {
        if (xhr.status == 200) resolve(xhr.responseText);
        else reject(this.failure(body, xhr.status, xhr, xhr.responseText));
      };
      xhr.send(body);
    });
  }
};

// src/node/request.ts
var import_node_http = require("node:http");
var import_node_https = require("node:https");

// src/node/cookies.ts
var Cookies = class {
  constructor() {
    this._all = /* @__PURE__ */ new Map();
  }
  /** Takes the values of `Set-Cookie`. */
  take(headers, now = Date.now()) {
    for (const header of headers) {
      const [pair, ...attributes] = header.split(";");
      const at = pair.indexOf("=");
      if (at < 1) continue;
      let until = Infinity;
      for (const attribute of attributes) {
        const [name2, value = ""] = attribute.trim().split("=");
        const date = /^expires$/i.test(name2) ? Date.parse(value) : NaN;
        if (!isNaN(date) && until == Infinity) until = date;
        if (/^max-age$/i.test(name2) && /^-?\d+$/.test(value)) until = now + Number(value) * 1e3;
      }
      const name = pair.slice(0, at).trim();
      if (until <= now) this._all.delete(name);
      else this._all.set(name, { value: pair.slice(at + 1).trim(), until });
    }
  }
  /** The value of `Cookie`, or `""`. */
  header(now = Date.now()) {
    const pairs = [];
    this._all.forEach(({ value, until }, name) => {
      if (until > now) pairs.push(name + "=" + value);
    });
    return pairs.join("; ");
  }
};

// src/node/request.ts
var PASSED_ON = [
  "agent",
  "ca",
  "cert",
  "key",
  "pfx",
  "passphrase",
  "ciphers",
  "rejectUnauthorized",
  "checkServerIdentity",
  "localAddress",
  "family"
];
var jars = /* @__PURE__ */ new WeakMap();
function request(uri, method, headers, opts) {
  const options = { method, headers: { ...headers, ...opts.extraHeaders } };
  for (const name of PASSED_ON) if (opts[name] !== void 0) options[name] = opts[name];
  const session = opts.withCredentials ? opts.socket : void 0;
  const jar = session && (jars.get(session) || new Cookies());
  if (jar) {
    jars.set(session, jar);
    const cookie = jar.header();
    const own = Object.keys(options.headers).find((name) => name.toLowerCase() == "cookie");
    if (cookie) options.headers[own || "cookie"] = (own ? options.headers[own] + "; " : "") + cookie;
  }
  const made = (/^(https|wss):/.test(uri) ? import_node_https.request : import_node_http.request)(uri.replace(/^ws/, "http"), options);
  if (jar) {
    const take = (response) => jar.take(response.headers["set-cookie"] || []);
    made.on("response", take).on("upgrade", take);
  }
  if (opts.autoUnref) made.on("socket", (socket) => socket.unref());
  return made;
}

// src/node/polling.ts
var NodePolling = class extends Polling {
  abort() {
    if (this._get) this._get.destroy();
  }
  request(body) {
    return new Promise((resolve, reject) => {
      const headers = { accept: "*/*" };
      if (body != null) headers["content-type"] = "text/plain;charset=UTF-8";
      const made = request(this.uri(), body == null ? "GET" : "POST", headers, this.opts);
      if (body == null) this._get = made;
      const { requestTimeout } = this.opts;
      const timer = requestTimeout ? setTimeout(() => made.destroy(new Error("timeout")), requestTimeout) : void 0;
      const fail = (err) => {
        clearTimeout(timer);
        reject(this.failure(body, err, made));
      };
      made.on("error", fail);
      made.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part) => text += part);
        response.on("error", fail);
        response.on("end", () => {
          clearTimeout(timer);
          if (response.statusCode == 200) resolve(text);
          else reject(this.failure(body, response.statusCode, response, text));
        });
      });
      made.end(body);
    });
  }
};

// src/node/websocket.ts
var import_node_buffer = require("node:buffer");
var import_node_crypto = require("node:crypto");
var Buffer2 = root.Buffer;
var MAX_PAYLOAD = 100 * 1024 * 1024;
var GOODBYE = 2e3;
var NodeWS = class extends WS {
  constructor() {
    super(...arguments);
    this.takesBlobs = false;
  }
  socket(uri) {
    return new NodeSocket(uri, this.opts);
  }
};
var NodeSocket = class {
  constructor(url, opts) {
    this.url = url;
    this.binaryType = "arraybuffer";
    this.onopen = null;
    this.onclose = null;
    this.onmessage = null;
    this.onerror = null;
    this._closed = false;
    this._closing = false;
    this._code = 1006;
    this._reason = "";
    // Bytes received and not understood yet; joined when a frame is whole, so that a large one is copied once.
    this._parts = [];
    this._held = 0;
    this._needed = 2;
    this._message = [];
    this._messageSize = 0;
    this._opcode = 0;
    this._max = opts.maxPayload || MAX_PAYLOAD;
    const key = (0, import_node_crypto.randomBytes)(16).toString("base64");
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": key
    };
    const protocols = [].concat(opts.protocols || []);
    if (protocols.length) headers["sec-websocket-protocol"] = protocols.join(",");
    if (opts.origin) headers.origin = opts.origin;
    const made = this._request = request(url, "GET", headers, opts);
    made.on("error", (err) => this._fail(err));
    made.on("response", (response) => {
      response.resume();
      this._fail(Object.assign(new Error("unexpected answer: status " + response.statusCode), { status: response.statusCode }));
    });
    made.on("upgrade", (response, socket, head) => {
      const expected = (0, import_node_crypto.createHash)("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
      const chosen = response.headers["sec-websocket-protocol"];
      this._socket = socket;
      if (this._closed) return socket.destroy();
      if (response.headers["sec-websocket-accept"] !== expected || chosen && !protocols.includes(chosen) || response.headers["sec-websocket-extensions"]) {
        return this._fail(new Error("not the answer of a WebSocket server"));
      }
      socket.setTimeout(0);
      socket.setNoDelay(true);
      if (opts.autoUnref) socket.unref();
      socket.on("data", (part) => this._received(part));
      socket.on("error", () => {
      });
      socket.on("end", () => socket.end());
      socket.on("close", () => this._ended());
      if (this.onopen) this.onopen();
      if (head.length) this._received(head);
    });
    made.end();
  }
  send(data) {
    if (!this._socket || this._closing) return;
    if (typeof data == "string") this._frame(1, Buffer2.from(data));
    else if (ArrayBuffer.isView(data)) this._frame(2, Buffer2.from(data.buffer, data.byteOffset, data.byteLength));
    else this._frame(2, Buffer2.from(data));
  }
  close(code = 1e3) {
    if (!this._socket) {
      this._request.destroy();
      return this._ended();
    }
    if (!this._closing) this._sayGoodbye(code);
  }
  _sayGoodbye(code) {
    this._frame(8, Buffer2.from([code >> 8, code & 255]));
    this._closing = true;
    const timer = setTimeout(() => this._socket.destroy(), GOODBYE);
    timer.unref();
  }
  _frame(opcode, payload) {
    const size = payload.length;
    const wide = size < 126 ? 0 : size < 65536 ? 2 : 8;
    const frame = Buffer2.allocUnsafe(6 + wide + size);
    frame[0] = 128 | opcode;
    frame[1] = 128 | (wide ? wide == 2 ? 126 : 127 : size);
    if (wide == 2) frame.writeUInt16BE(size, 2);
    else if (wide) frame.writeBigUInt64BE(BigInt(size), 2);
    const mask = (0, import_node_crypto.randomBytes)(4);
    mask.copy(frame, 2 + wide);
    for (let i = 0, at = 6 + wide; i < size; i++) frame[at + i] = payload[i] ^ mask[i & 3];
    this._socket.write(frame);
  }
  _received(part) {
    this._parts.push(part);
    this._held += part.length;
    while (this._held >= this._needed && !this._closed) {
      const bytes = this._parts.length == 1 ? this._parts[0] : Buffer2.concat(this._parts, this._held);
      const used = this._read(bytes);
      this._parts = used < bytes.length ? [bytes.subarray(used)] : [];
      this._held = bytes.length - used;
      if (!used) return;
      this._needed = 2;
    }
  }
  /** Reads one frame; 0 if it is not whole yet, and then `_needed` says how much it takes. */
  _read(bytes) {
    const opcode = bytes[0] & 15;
    const final = bytes[0] & 128;
    let size = bytes[1];
    if (bytes[0] & 112 || size & 128) return this._violated(1002);
    if (opcode > 7 && (!final || size > 125)) return this._violated(1002);
    const wide = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (bytes.length < 2 + wide) return this._need(2 + wide);
    if (wide == 2) size = bytes.readUInt16BE(2);
    else if (wide) size = Number(bytes.readBigUInt64BE(2));
    if (size + this._messageSize > this._max) return this._violated(1009);
    const end = 2 + wide + size;
    if (bytes.length < end) return this._need(end);
    this._took(opcode, !!final, bytes.subarray(2 + wide, end));
    return end;
  }
  _need(count) {
    this._needed = count;
    return 0;
  }
  _took(opcode, final, payload) {
    if (opcode == 8) {
      this._code = payload.length > 1 ? payload.readUInt16BE(0) : 1005;
      this._reason = payload.toString("utf8", 2);
      if (!this._closing) this._sayGoodbye(payload.length > 1 ? this._code : 1e3);
      this._socket.end();
      soon(() => this._ended());
    } else if (opcode == 9) {
      if (!this._closing) this._frame(10, payload);
    } else if (opcode < 3 && opcode > 0 != this._message.length > 0) {
      if (opcode) this._opcode = opcode;
      this._message.push(payload);
      this._messageSize += payload.length;
      if (final) this._whole();
    } else if (opcode != 10) this._violated(1002);
  }
  _whole() {
    const parts = this._message;
    const bytes = parts.length == 1 ? parts[0] : Buffer2.concat(parts);
    this._message = [];
    this._messageSize = 0;
    if (this._opcode == 1 && !(0, import_node_buffer.isUtf8)(bytes)) return void this._violated(1007);
    if (!this.onmessage) return;
    const data = this._opcode == 1 ? bytes.toString() : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    this.onmessage({ data });
  }
  _violated(code) {
    this._code = code;
    if (!this._closing) this._sayGoodbye(code);
    const err = new Error(code == 1009 ? "message larger than `maxPayload`" : "the server breaks the rules of WebSocket");
    this._fail(err);
    return 0;
  }
  _fail(error) {
    if (this._closed) return;
    if (this.onerror) this.onerror({ message: error.message, error });
    if (this._socket) this._socket.end();
    this._ended();
  }
  _ended() {
    if (this._closed) return;
    this._closed = true;
    if (this.onclose) this.onclose({ code: this._code, reason: this._reason, wasClean: this._code != 1006 });
  }
};

// src/node.ts
TRANSPORTS.polling = NodePolling;
TRANSPORTS.websocket = NodeWS;

// src/node-require.ts
module.exports = Object.assign(io, node_exports);
