// The chat demo. What it says to the server and hears from it is in PROTOCOL.md beside this file:
//
//   page → server   hello {name}  join {room}  leave {room}  say {room, text}  image {room, type, name, bytes}
//                   typing {room, on}  whisper {to, text}  echo {}                each but typing with an ack
//   server → page   said  image  typing  joined  left  renamed  whispered  rooms
//
// Rules here: nothing from the network ever becomes HTML; an entry is shown once, whatever road it
// came by (event, history, recovery); what the user wrote is shown at once and marked until the
// server has answered.

/* global io */
"use strict";

const LOBBY = "lobby";
const IMAGE_LIMIT = 900000;
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
const KEPT = 300; // entries of one conversation
const ACK_TIMEOUT = 10000;

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------
// What is known

let socket;
let me = { id: "", name: "" };
let ready = false; // said hello and joined again since the last connect
let rooms = []; // as the server lists them
const conversations = new Map(); // by key: "#room" or "@person"
const seen = new Set(); // ids of entries
let active; // the conversation on screen
let attached = []; // images chosen, not sent
let lostAt = 0;
let caughtUp = 0; // entries delivered by recovery, before anything was asked
let path = []; // transports of this connection, in order
let serial = 0;

function conversation(kind, id, name) {
  const key = (kind === "room" ? "#" : "@") + id;
  let it = conversations.get(key);
  if (!it) {
    it = { key, kind, id, name, entries: [], members: new Map(), typing: new Map(), unread: 0, joined: false, left: false, draft: "" };
    conversations.set(key, it);
  }
  return it;
}

const room = (name) => conversation("room", name, name);
const person = (who) => {
  const it = conversation("person", who.id, who.name);
  it.name = who.name;
  return it;
};
const joinedRooms = () => [...conversations.values()].filter((each) => each.kind === "room" && each.joined);

// ---------------------------------------------------------------------------------------------
// The connection

function connect() {
  socket = io({ autoConnect: false, ackTimeout: ACK_TIMEOUT });
  // To try things from the console.
  window.socket = socket;

  socket.on("connect", arrive);
  socket.on("disconnect", (reason) => {
    ready = false;
    lostAt = Date.now();
    caughtUp = 0;
    for (const each of joinedRooms()) {
      each.typing.clear();
      note(each, "lost", `Connection lost (${reason}). What you write now is sent when it is back.`);
    }
    showState("reconnecting");
    if (!socket.active) showState("refused", reason);
    render();
  });
  socket.on("connect_error", (err) => {
    if (socket.active) showState("reconnecting");
    else showState("refused", err.message);
  });
  socket.io.on("reconnect_attempt", (attempt) => showState("reconnecting", "attempt " + attempt));
  socket.io.on("open", () => {
    const engine = socket.io.engine;
    path = [engine.transport.name];
    engine.on("upgrade", (transport) => {
      path.push(transport.name);
      if (ready) showState("connected");
    });
  });

  socket.on("said", (entry) => receive(room(entry.room), entry));
  socket.on("image", (entry) => receive(room(entry.room), entry));
  socket.on("whispered", (entry) => receive(person(entry.from), entry));
  socket.on("typing", ({ room: name, from, on }) => {
    const it = room(name);
    clearTimeout(it.typing.get(from.id)?.timer);
    it.typing.delete(from.id);
    if (on) it.typing.set(from.id, { name: from.name, timer: setTimeout(() => (it.typing.delete(from.id), showTyping()), 6000) });
    showTyping();
  });
  socket.on("joined", ({ room: name, member }) => {
    if (member.id === me.id) return;
    const it = room(name);
    if (!it.members.has(member.id)) note(it, "", `${member.name} came in`);
    it.members.set(member.id, member);
    render();
  });
  socket.on("left", ({ room: name, member }) => {
    // One's own leaving, replayed by a recovery, is no news.
    if (member.id === me.id) return;
    const it = room(name);
    if (it.members.delete(member.id)) note(it, "", `${member.name} left`);
    it.typing.delete(member.id);
    render();
  });
  socket.on("renamed", ({ member, was }) => {
    for (const it of joinedRooms()) {
      if (!it.members.has(member.id)) continue;
      it.members.set(member.id, member);
      if (member.id !== me.id) note(it, "", `${was} is now ${member.name}`);
    }
    const own = conversations.get("@" + member.id);
    if (own) own.name = member.name;
    render();
  });
  socket.on("rooms", (list) => {
    rooms = list.rooms;
    renderRooms();
  });

  socket.connect();
  setInterval(measure, 5000);
}

// After every connect, recovered or not: the server may have forgotten us.
async function arrive() {
  const recovered = socket.recovered;
  try {
    await hello();
    const wanted = joinedRooms().map((each) => each.id);
    if (!wanted.length) wanted.push(fromHash() || LOBBY);
    for (const name of wanted) await join(name);
  } catch (err) {
    if (socket.connected) trouble(err.message);
    return; // lost again: the next connect does it all anew
  }
  ready = true;
  if (lostAt) {
    const seconds = Math.max(1, Math.round((Date.now() - lostAt) / 1000));
    const how = recovered
      ? `session recovered, ${caughtUp ? count(caughtUp, "missed message") + " delivered" : "nothing missed"}`
      : "a new session";
    for (const each of joinedRooms()) note(each, "back", `Connected again after ${seconds} s: ${how}.`);
  }
  $("fact-session").textContent = recovered ? "recovered" : "new";
  if (!active || (active.kind === "room" && !active.joined)) show(joinedRooms()[0]);
  showState("connected");
  render();
  measure();
  for (const it of conversations.values()) it.entries.filter((each) => each.fate === "waiting").forEach((each) => deliver(it, each));
}

async function hello() {
  const answer = await ask("hello", { name: me.name });
  me = { id: answer.id, name: answer.name };
  rooms = answer.rooms;
  localStorage.setItem("sockeye.name", me.name);
  renderMe();
}

async function join(name) {
  const answer = await ask("join", { room: name });
  const it = room(answer.room);
  it.joined = true;
  it.members = new Map(answer.members.map((each) => [each.id, each]));
  for (const entry of answer.history) {
    // What we sent when the connection broke may have arrived after all.
    const own = entry.from.id === me.id && it.entries.find((each) => each.fate && each.text === entry.text && each.text);
    if (own) confirm(it, own, entry);
    else insert(it, entry);
  }
  return it;
}

async function ask(event, payload) {
  const answer = await socket.emitWithAck(event, payload);
  if (answer && answer.error) throw new Error(answer.error.message);
  return answer;
}

async function measure() {
  if (!ready || document.hidden) return;
  const start = performance.now();
  try {
    await ask("echo", {});
  } catch {
    return;
  }
  const ms = performance.now() - start;
  if (!ready) return;
  $("fact-latency").textContent = (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + " ms";
  $("state-latency").textContent = Math.max(1, Math.round(ms)) + " ms";
}

// ---------------------------------------------------------------------------------------------
// Entries

function receive(it, entry) {
  if (!insert(it, entry)) return;
  if (!ready) caughtUp++;
  it.typing.delete(entry.from.id);
  if (it !== active || document.hidden) it.unread++;
  render();
}

// In order of time; true if it is new.
function insert(it, entry) {
  if (seen.has(entry.id)) return false;
  seen.add(entry.id);
  let at = it.entries.length;
  while (at > 0 && it.entries[at - 1].at > entry.at) at--;
  it.entries.splice(at, 0, entry);
  for (const old of it.entries.splice(0, it.entries.length - KEPT)) {
    if (old.url) URL.revokeObjectURL(old.url);
    seen.delete(old.id);
  }
  return true;
}

function note(it, tone, text) {
  insert(it, { id: "note" + serial++, at: now(it), note: text, tone });
}

// Own entries and notes go to the end, even if the server's clock is ahead of ours.
const now = (it) => Math.max(Date.now(), it.entries.at(-1)?.at || 0);

function write(it, content) {
  const entry = { id: "own" + serial++, at: now(it), from: { ...me }, fate: "waiting", ...content };
  insert(it, entry);
  if (ready) deliver(it, entry);
  render(true);
}

async function deliver(it, entry) {
  entry.fate = "sent";
  try {
    const { image, text } = entry;
    const answer =
      it.kind === "person" ? await ask("whisper", { to: it.id, text })
      : image ? await ask("image", { room: it.id, type: image.type, name: image.name, bytes: image.bytes })
      : await ask("say", { room: it.id, text });
    confirm(it, entry, answer);
  } catch (err) {
    // A history read meanwhile may have confirmed it.
    if (entry.fate) entry.fate = socket.connected ? err.message : "the connection broke";
  }
  render();
}

function confirm(it, entry, { id, at }) {
  if (seen.has(id)) it.entries = it.entries.filter((each) => each.id !== id);
  seen.delete(entry.id);
  seen.add(id);
  Object.assign(entry, { id, at: Math.max(at, entry.at), fate: undefined });
}

// ---------------------------------------------------------------------------------------------
// On screen

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.includes("-")) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((each) => each != null && each !== false));
  return node;
}

const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function avatar(who, node = el("span", { className: "avatar", "aria-hidden": "true" })) {
  let hash = 7;
  for (const char of who.name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  // Not a style attribute: the page runs under a strict content security policy.
  node.style.setProperty("--hue", hash);
  node.textContent = who.name.split(/\s+/).map((word) => [...word][0] || "").slice(0, 2).join("").toUpperCase();
  return node;
}

function renderMe() {
  avatar(me, document.querySelector(".me .avatar"));
  document.querySelector(".me-name").textContent = me.name;
}

function render(toEnd) {
  renderRooms();
  if (!active) return;
  renderPeople();
  renderLog(toEnd);
  showTyping();
  const unread = [...conversations.values()].reduce((sum, each) => sum + each.unread, 0);
  document.title = (unread ? `(${unread}) ` : "") + active.name + " · Sockeye chat";
  const elsewhere = unread - active.unread;
  $("elsewhere").hidden = !elsewhere;
  $("elsewhere").textContent = elsewhere;
  $("where").textContent = active.name;
  $("leave").hidden = active.kind !== "room" || active.id === LOBBY;
  $("attach").classList.toggle("off", active.kind !== "room");
  $("text").placeholder = active.kind === "room" ? `Message to ${active.name}` : `Only ${active.name} will see this`;
  $("where-note").textContent = active.kind === "room" ? `${count(active.members.size, "person").replace("persons", "people")} here` : "private message";
}

function renderRooms() {
  const listed = new Map(rooms.map((each) => [each.name, each.count]));
  for (const it of joinedRooms()) if (!listed.has(it.id)) listed.set(it.id, it.members.size);
  const names = [...listed.keys()].sort((a, b) => (b === LOBBY) - (a === LOBBY) || a.localeCompare(b));
  fill($("rooms"), names.map((name) => {
    const it = conversations.get("#" + name);
    const joined = it && it.joined;
    return el("li", { className: joined ? "" : "out" },
      el("button", { type: "button", title: joined ? "" : "Join", "aria-current": String(it === active && !!it), "data-key": "#" + name, onclick: () => enter(name) },
        el("span", { className: "hash", textContent: joined ? "#" : "+", "aria-hidden": "true" }),
        el("span", { className: "name", textContent: name }),
        it && it.unread && joined
          ? el("span", { className: "badge", textContent: it.unread, "aria-label": count(it.unread, "new message") })
          : el("span", { className: "count", textContent: listed.get(name), "aria-label": `${listed.get(name)} here` })));
  }));
  const people = [...conversations.values()].filter((each) => each.kind === "person");
  $("private-title").hidden = !people.length;
  fill($("private"), people.map((it) => el("li", {},
    el("button", { type: "button", "aria-current": String(it === active), "data-key": it.key, onclick: () => show(it) },
      avatar(it),
      el("span", { className: "name", textContent: it.name }),
      it.unread > 0 && el("span", { className: "badge", textContent: it.unread, "aria-label": count(it.unread, "new message") })))));
}

function renderPeople() {
  const here = active.kind === "room" ? [...active.members.values()] : [me, { id: active.id, name: active.name }];
  here.sort((a, b) => (b.id === me.id) - (a.id === me.id) || a.name.localeCompare(b.name));
  $("people-title").textContent = `Here · ${here.length}`;
  fill($("people"), here.map((who) => el("li", {},
    el("button", {
      type: "button", "data-key": who.id,
      title: who.id === me.id ? "Change your name" : `Write to ${who.name} in private`,
      onclick: () => (who.id === me.id ? askName() : show(person(who))),
    },
      avatar(who),
      el("span", { className: "name", textContent: who.name }),
      who.id === me.id && el("span", { className: "you", textContent: "you" })))));
}

// Replaces a list without taking the focus from whoever walks through it by keyboard.
function fill(list, items) {
  const key = list.contains(document.activeElement) && document.activeElement.dataset.key;
  list.replaceChildren(...items);
  if (key) for (const button of list.querySelectorAll("button")) if (button.dataset.key === key) button.focus();
}

let drawn; // what the log shows: the conversation and its nodes by entry

function renderLog(toEnd) {
  const log = $("log");
  const atEnd = toEnd || !drawn || drawn.it !== active || log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const nodes = new Map();
  let before;
  const list = [];
  for (const entry of active.entries) {
    const day = new Date(entry.at).toDateString();
    const more = before && !entry.note && !before.note && before.from.id === entry.from.id && before.from.name === entry.from.name &&
      entry.at - before.at < 300000 && new Date(before.at).toDateString() === day;
    const state = [entry.fate, more, entry.id, entry.at].join();
    const old = drawn && drawn.it === active && drawn.nodes.get(entry);
    const node = old && old.state === state ? old.node : draw(entry, more);
    nodes.set(entry, { node, state });
    list.push(node);
    before = entry;
  }
  if (!list.length) {
    list.push(el("p", { className: "nothing" },
      el("b", { textContent: active.kind === "room" ? "Nobody has said anything yet" : `Between you and ${active.name}` }),
      active.kind === "room" ? "Open this page in a second tab, or share its address." : "Nobody else sees what you write here."));
  }
  // Only what changed is touched, so that a screen reader hears what is new and nothing twice.
  let place = log.firstChild;
  for (const node of list) {
    if (node === place) place = place.nextSibling;
    else log.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  drawn = { it: active, nodes };
  if (atEnd) log.scrollTop = log.scrollHeight;
  $("down").hidden = atEnd || !active.unread;
  if (atEnd && !document.hidden && active.unread) {
    active.unread = 0;
    renderRooms();
  }
}

function draw(entry, more) {
  if (entry.note) return el("p", { className: "note " + entry.tone, textContent: entry.note });
  const mine = entry.from.id === me.id || entry.fate !== undefined || entry.mine;
  if (mine) entry.mine = true;
  const time = new Date(entry.at);
  const alone = entry.text && /^\p{Extended_Pictographic}[\p{Extended_Pictographic}\u200d\ufe0f]{0,8}$/u.test(entry.text);
  return el("article", { className: ["entry", more && "more", mine && "mine", alone && "huge", entry.fate && "waiting"].filter(Boolean).join(" ") },
    avatar(entry.from),
    el("div", { className: "head" },
      el("b", { textContent: entry.from.name }),
      el("time", { dateTime: time.toISOString(), title: time.toLocaleString(), textContent: time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) })),
    el("div", { className: "body" }, entry.image ? drawImage(entry) : el("div", { className: "text", textContent: entry.text })),
    entry.fate && drawFate(entry));
}

function drawImage(entry) {
  const { type, name, bytes } = entry.image;
  if (!entry.url && (!bytes || !IMAGE_TYPES.includes(type))) return el("p", { className: "gone", textContent: `An image the server no longer keeps: ${name}` });
  // The bytes live on in the blob alone.
  entry.url = entry.url || URL.createObjectURL(new Blob([bytes], { type }));
  if (!entry.fate) entry.image.bytes = null;
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const image = el("img", { src: entry.url, alt: name, onload: () => atEnd && (log.scrollTop = log.scrollHeight) });
  return el("figure", {},
    el("button", { type: "button", "aria-label": `Enlarge ${name}`, onclick: () => enlarge(entry) }, image),
    el("figcaption", { textContent: name }));
}

function drawFate(entry) {
  const it = active;
  if (entry.fate === "sent") return null;
  if (entry.fate === "waiting") return el("p", { className: "fate", textContent: "waits for the connection" });
  return el("p", { className: "fate bad" }, `not sent: ${entry.fate}`,
    el("button", {
      type: "button", textContent: "again",
      onclick: () => {
        entry.fate = "waiting";
        if (ready) deliver(it, entry);
        render();
      },
    }));
}

function showTyping() {
  if (!active) return;
  const names = [...active.typing.values()].map((each) => each.name);
  $("typing").textContent = !names.length ? ""
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : `${names.length} people are typing…`;
}

function showState(state, more) {
  $("state").dataset.state = state;
  const transports = path.join(" → ");
  const last = path.at(-1) || "";
  $("state-text").textContent = state === "connected" ? last : state === "refused" ? "not connected" : state;
  $("state").title = state === "connected" ? `connected by ${transports}` : more || state;
  $("fact-state").textContent = state === "refused" ? "refused: " + more : more ? `${state}, ${more}` : state;
  $("fact-transport").textContent = state === "connected" ? transports : "–";
  $("fact-id").textContent = socket.id || "–";
  if (state !== "connected") {
    $("fact-latency").textContent = "–";
    $("state-latency").textContent = "";
  }
  $("cut").disabled = state !== "connected";
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
  clearTimeout(trouble.timer);
  if (text) trouble.timer = setTimeout(() => trouble(""), 8000);
}

// ---------------------------------------------------------------------------------------------
// What people do

async function enter(name) {
  const it = conversations.get("#" + name);
  if (it && it.joined) return show(it);
  if (!ready) return trouble("Not connected: the room can be joined when the connection is back.");
  try {
    show(await join(name));
  } catch (err) {
    trouble(err.message);
  }
}

function show(it) {
  if (active) active.draft = $("text").value;
  if (it !== active) typing(false);
  active = it;
  it.unread = 0;
  $("text").value = it.draft;
  grow();
  if (it.kind === "room") history.replaceState(null, "", it.id === LOBBY ? location.pathname : "#" + encodeURIComponent(it.id));
  drawer(null);
  render(true);
  if (matchMedia("(hover: hover)").matches) $("text").focus(); // on a phone that would raise the keyboard
}

function fromHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

async function leave() {
  const it = active;
  it.joined = false;
  conversations.delete(it.key);
  it.entries.forEach((each) => (seen.delete(each.id), each.url && URL.revokeObjectURL(each.url)));
  show(joinedRooms()[0]);
  if (ready) await ask("leave", { room: it.id }).catch((err) => trouble(err.message));
}

let typingIn; // the room that was told we are typing
let typingSince = 0;
let typingTimer;

function typing(on) {
  clearTimeout(typingTimer);
  if (on) typingTimer = setTimeout(() => typing(false), 4000);
  const fresh = Date.now() - typingSince < 3000;
  if (!ready || (on ? typingIn === active.id && fresh : !typingIn)) return;
  if (on && active.kind !== "room") return;
  socket.volatile.emit("typing", { room: on ? active.id : typingIn, on });
  typingIn = on ? active.id : undefined;
  typingSince = Date.now();
}

function send() {
  const text = $("text").value.trim();
  if (active.kind === "room") for (const file of attached.splice(0)) {
    write(active, { image: { type: file.type, name: file.name, bytes: file.bytes }, url: file.url });
  }
  if (text) write(active, { text });
  $("text").value = "";
  grow();
  typing(false);
  renderAttached();
}

async function attach(files) {
  for (const file of files) {
    const name = (file.name || "image").slice(0, 100);
    if (!IMAGE_TYPES.includes(file.type)) {
      trouble(`${name} is not an image of a kind that can be sent (PNG, JPEG, GIF, WebP, AVIF).`);
    } else if (file.size > IMAGE_LIMIT) {
      trouble(`${name} has ${size(file.size)}; the limit is ${size(IMAGE_LIMIT)}.`);
    } else if (attached.length >= 4) {
      trouble("Four images at a time.");
    } else {
      attached.push({ type: file.type, name, bytes: await file.arrayBuffer(), url: URL.createObjectURL(file) });
    }
  }
  renderAttached();
  $("text").focus();
}

const size = (bytes) => (bytes >= 1e6 ? (bytes / 1e6).toFixed(1) + " MB" : Math.ceil(bytes / 1000) + " kB");

function renderAttached() {
  $("attached").replaceChildren(...attached.map((file) => el("li", {},
    el("img", { src: file.url, alt: file.name }),
    el("button", {
      type: "button", textContent: "×", "aria-label": `Do not send ${file.name}`,
      onclick: () => {
        URL.revokeObjectURL(file.url);
        attached = attached.filter((each) => each !== file);
        renderAttached();
      },
    }))));
  $("send").disabled = !attached.length && !$("text").value.trim();
}

function grow() {
  const field = $("text");
  if (!CSS.supports("field-sizing", "content")) {
    field.style.setProperty("height", "auto");
    field.style.setProperty("height", field.scrollHeight + "px");
  }
  renderAttached();
}

function enlarge(entry) {
  const dialog = $("picture");
  dialog.querySelector("img").src = entry.url;
  dialog.querySelector("img").alt = entry.image.name;
  dialog.showModal();
}

function drawer(which) {
  document.body.dataset.drawer = which || "";
  $("shade").hidden = !which;
  $("open-rooms").setAttribute("aria-expanded", String(which === "rooms"));
  $("open-people").setAttribute("aria-expanded", String(which === "people"));
  if (which) $(which + "-side").querySelector("li button, button")?.focus();
}

function card(open) {
  $("state-card").hidden = !open;
  $("state").setAttribute("aria-expanded", String(open));
}

function askName() {
  drawer(null);
  $("name").value = me.name || localStorage.getItem("sockeye.name") || "";
  $("name-dialog").showModal();
  $("name").select();
}

async function named(name) {
  const first = !me.name;
  me.name = name;
  renderMe();
  if (first) return connect();
  localStorage.setItem("sockeye.name", name);
  if (ready) await hello().catch((err) => trouble(err.message));
  for (const it of joinedRooms()) if (it.members.has(me.id)) it.members.set(me.id, { ...me });
  render();
}

function listen() {
  $("say").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  $("text").addEventListener("input", () => {
    grow();
    if (active) typing($("text").value.trim() !== "");
  });
  $("text").addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    if (active.kind === "room") attach(files);
    else trouble("Images can be sent to rooms only.");
  });
  $("file").addEventListener("change", () => {
    attach([...$("file").files]);
    $("file").value = "";
  });

  const holdsFiles = (event) => active && active.kind === "room" && event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // else the page would give way to the image
    $("drop").hidden = !holdsFiles(event);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").hidden = true;
    if (holdsFiles(event)) attach([...event.dataTransfer.files]);
  });

  $("new-room").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("new-room-name").value.trim();
    $("new-room-name").value = "";
    if (name) enter(name);
  });
  $("leave").addEventListener("click", leave);
  $("me").addEventListener("click", askName);
  $("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("name").value.trim();
    if (!name) return;
    $("name-dialog").close();
    named(name);
  });
  $("name-dialog").addEventListener("cancel", (event) => me.name || event.preventDefault());
  $("picture").addEventListener("click", () => $("picture").close());

  $("open-rooms").addEventListener("click", () => drawer("rooms"));
  $("open-people").addEventListener("click", () => drawer("people"));
  $("shade").addEventListener("click", () => drawer(null));
  $("state").addEventListener("click", () => card($("state-card").hidden));
  $("cut").addEventListener("click", () => {
    card(false);
    socket.io.engine.close();
  });
  addEventListener("click", (event) => event.target.closest(".state") || card(false));
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    card(false);
    drawer(null);
  });

  $("down").addEventListener("click", () => render(true));
  $("log").addEventListener("scroll", () => {
    const log = $("log");
    if (active && active.unread && log.scrollHeight - log.scrollTop - log.clientHeight < 60) render();
  });
  addEventListener("visibilitychange", () => document.hidden || (active && render()));
  addEventListener("resize", () => active && render());
  addEventListener("hashchange", () => fromHash() && enter(fromHash()));
}

listen();
renderAttached();
if (typeof io !== "function") trouble("The client could not be loaded from /socket.io/socket.io.min.js.");
else if (localStorage.getItem("sockeye.name")) named(localStorage.getItem("sockeye.name"));
else {
  const fish = ["Coho", "Chinook", "Pike", "Perch", "Trout", "Char", "Roach", "Tench", "Bream", "Dace"];
  $("name").value = `${fish[Math.floor(Math.random() * fish.length)]} ${Math.floor(Math.random() * 90) + 10}`;
  $("name-dialog").showModal();
  $("name").select();
}
