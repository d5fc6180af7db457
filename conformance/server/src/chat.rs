//! The Socket.IO half of the contract: CONTRACT.md, "Namespaces" and "Events".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value as Json, json};
use sockeye::engine::Refused;
use sockeye::proto::{Payload, Value};
use sockeye::{
    Ack, AckSender, Args, Auth, ConnectionStateRecovery, Data, Handshake, NamespaceBuilder, Protocol,
    RawArgs, Reason, Refusal, Server, Socket, SocketData, State, Transport,
};
use tokio::time::sleep;

use crate::flags::Flags;

/// What `GET /log` tells.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    disconnects: Vec<Json>,
    refusals: Vec<Json>,
}

impl Log {
    pub(crate) fn to_json(&self) -> String {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "disconnects": entries.disconnects, "refusals": entries.refusals }).to_string()
    }

    fn change(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The server of the contract, as the flags want it.
pub(crate) fn server(flags: &Flags, log: &Log) -> anyhow::Result<Server> {
    let refusals = log.clone();
    let mut builder = Server::builder()
        .engine(|config| flags.engine(config))
        .state(log.clone())
        .namespace("/", serve)
        .namespace("/custom", serve)
        .namespace("/admin", |admin| serve(admin.middleware(only_who_knows)))
        .namespace("/slow", |slow| serve(slow.middleware(take_your_time)))
        .dynamic_namespace(regex::Regex::new(r"^/dynamic-\d+$")?, serve)
        .on_connection_error(move |_, refused: &Refused| {
            let entry = json!({ "code": refused.code, "message": refused.message });
            refusals.change(|log| log.refusals.push(entry));
        });
    if let Some(timeout) = flags.connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(window) = flags.recovery {
        builder = builder.connection_state_recovery(ConnectionStateRecovery::new().window(window));
    }
    if let Some(message) = flags.refuse.clone() {
        builder = builder.allow_request(move |handshake: Arc<Handshake>| {
            let answer = match handshake.query_value("refuse") {
                Some(_) => Err(message.clone()),
                None => Ok(()),
            };
            async move { answer }
        });
    }
    if !flags.bus.url.is_empty() {
        builder = flags.bus.join(builder.share_handshake(flags.share_handshake))?;
    }
    builder.build().context("the server contradicts itself")
}

async fn only_who_knows(Auth(auth): Auth<Json>) -> Result<(), Refusal> {
    sleep(Duration::from_millis(20)).await;
    if auth["token"] == "secret" {
        return Ok(());
    }
    Err(Refusal::new("not allowed").data(json!({ "code": 401, "hint": "token" })))
}

async fn take_your_time(Auth(auth): Auth<Json>) {
    sleep(Duration::from_millis(auth["wait"].as_u64().unwrap_or(0).min(2000))).await;
}

/// What every namespace does.
fn serve(namespace: NamespaceBuilder) -> NamespaceBuilder {
    namespace
        .on_connect(greet)
        .on_disconnect(note)
        .on("message", message)
        .on("message-with-ack", message_with_ack)
        .on("echo", echo)
        .on("ask", ask)
        .on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room))
        .on("leave", async |socket: Socket, Data(room): Data<String>| socket.leave(room))
        .on("rooms", rooms)
        .on("send-to", send_to)
        .on("all-in", all_in)
        .on("broadcast", broadcast)
        .on("poll-room", poll_room)
        .on("burst", burst)
        .on("volatile", volatile)
        .on("emit-after", emit_after)
        .on("late", late)
        .on("kick", kick)
        .on("close-engine", async |socket: Socket| socket.close_connection())
        .on("keep", keep)
        .on("kept", kept)
        .on("who", who)
        .on("sockets", sockets)
        .on("panic", async || -> () { panic!("as asked") })
}

/// What a scenario is not told by an answer, it finds missing: errors of emitting need no words of their own.
fn sent<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        eprintln!("conformance-server: {error}");
    }
}

async fn greet(socket: Socket, Auth(auth): Auth<Json>) {
    sent(socket.emit("auth", &auth));
}

async fn note(socket: Socket, reason: Reason, log: State<Log>) {
    let entry = json!({ "id": socket.id(), "nsp": socket.namespace().name(), "reason": reason.as_str() });
    log.change(|log| log.disconnects.push(entry));
}

/// Relays without reading: numbers that no Rust type holds pass unchanged.
async fn message(socket: Socket, RawArgs(payload): RawArgs) {
    let Some(rest) = payload.text().strip_prefix(r#"["message""#) else { return };
    let text = format!(r#"["message-back"{rest}"#);
    match Payload::from_parts(text, payload.attachments().to_vec(), true) {
        Ok(payload) => socket.namespace().to(socket.id()).emit_payload(payload),
        Err(violation) => eprintln!("conformance-server: {violation:?}"),
    }
}

async fn message_with_ack(Args(values): Args<Vec<Value>>, ack: AckSender) {
    sent(ack.send(Args(values)));
}

async fn echo(socket: Socket, Args(values): Args<Vec<Value>>, ack: Option<AckSender>) {
    sent(match ack {
        Some(ack) => ack.send(Args(values)),
        None => socket.emit("echo", Args(values)),
    });
}

async fn ask(socket: Socket, Args(values): Args<Vec<Value>>) {
    let question = socket.call::<Args<Vec<Value>>>("question", Args(values)).timeout(Duration::from_secs(1));
    sent(match question.await {
        Ok(answer) => socket.emit("answered", answer),
        Err(_) => socket.emit("unanswered", Args(())),
    });
}

async fn rooms(socket: Socket) -> Vec<String> {
    let mut rooms: Vec<String> = socket.rooms().iter().map(ToString::to_string).collect();
    rooms.sort();
    rooms
}

/// The texts in a list.
fn texts(value: &Value) -> Vec<String> {
    let Value::Array(values) = value else { return Vec::new() };
    values.iter().map(text).collect()
}

fn text(value: &Value) -> String {
    if let Value::String(text) = value { text.clone() } else { String::new() }
}

async fn send_to(socket: Socket, Args(values): Args<Vec<Value>>) {
    let [rooms, event, rest @ ..] = &*values else { return };
    sent(socket.to(texts(rooms)).emit(&text(event), Args(rest)));
}

async fn all_in(socket: Socket, Args(values): Args<Vec<Value>>) {
    let [rooms, except, event, rest @ ..] = &*values else { return };
    let audience = socket.namespace().to(texts(rooms)).except(texts(except));
    sent(audience.emit(&text(event), Args(rest)));
}

async fn broadcast(socket: Socket, Args(values): Args<Vec<Value>>) {
    let [event, rest @ ..] = &*values else { return };
    sent(socket.broadcast().emit(&text(event), Args(rest)));
}

async fn poll_room(socket: Socket, Args(values): Args<Vec<Value>>) -> Ack<Value> {
    let [room, Value::Number(ms), rest @ ..] = &*values else { return Ack(Value::Null) };
    let limit = Duration::from_millis(ms.as_u64().unwrap_or(0));
    let asking = socket.namespace().to(text(room)).timeout(limit).call::<Value>("question", Args(rest));
    let answers = asking.await;
    let missing = Value::Bool(!answers.is_complete());
    let answers = Value::Array(answers.into_values());
    Ack(Value::Object(BTreeMap::from([("answers".to_owned(), answers), ("missing".to_owned(), missing)])))
}

async fn burst(socket: Socket, Data(count): Data<u32>) {
    for n in 0..count {
        sent(socket.emit("n", n));
    }
}

async fn volatile(socket: Socket, Data(count): Data<u32>) {
    for n in 0..count {
        sent(socket.volatile().emit("n", n));
    }
    sent(socket.emit("done", Args(())));
}

async fn emit_after(socket: Socket, Args(values): Args<Vec<Value>>) {
    let [Value::Number(ms), event, rest @ ..] = &*values else { return };
    sleep(Duration::from_millis(ms.as_u64().unwrap_or(0))).await;
    sent(socket.emit(&text(event), Args(rest)));
}

async fn late(Args(values): Args<Vec<Value>>, ack: AckSender) {
    let [Value::Number(ms), rest @ ..] = &*values else { return };
    sleep(Duration::from_millis(ms.as_u64().unwrap_or(0))).await;
    sent(ack.send(Args(rest)));
}

async fn kick(socket: Socket, Data(close): Data<bool>) {
    if close {
        socket.close();
    } else {
        socket.disconnect();
    }
}

/// What `keep` kept.
struct Kept(Json);

async fn keep(socket: Socket, Data(value): Data<Json>) {
    // Other servers are told what is set here, under the name that Node's fixture gives it.
    sent(socket.set_info(json!({ "kept": value })));
    socket.set_data(Kept(value));
}

async fn kept(kept: Option<SocketData<Kept>>) -> Json {
    kept.map_or(Json::Null, |kept| kept.0.0.clone())
}

async fn who(socket: Socket) -> Json {
    let handshake = socket.handshake();
    let query: BTreeMap<_, _> = handshake.query().collect();
    json!({
        "id": socket.id(),
        "nsp": socket.namespace().name(),
        "recovered": socket.recovered(),
        "transport": match socket.transport() {
            Some(Transport::Polling) => "polling",
            Some(Transport::WebSocket) => "websocket",
            _ => "none",
        },
        "protocol": if socket.protocol() == Some(Protocol::V3) { 3 } else { 4 },
        "query": query,
        "auth": socket.auth::<Json>().unwrap_or_default(),
        "header": handshake.header("x-conformance"),
    })
}

async fn sockets(socket: Socket) -> Vec<String> {
    let mut ids: Vec<String> = socket.namespace().sockets().iter().map(|one| one.id().to_owned()).collect();
    ids.sort();
    ids
}
