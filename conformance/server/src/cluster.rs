//! The cluster half of the contract: CONTRACT.md, "In a cluster".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sockeye::cluster::{Incomplete, Missing};
use sockeye::proto::{Payload, Value};
use sockeye::{Args, FoundSocket, Namespace, Operator, Server, ServerBuilder};
use sockeye_redis::{Classic, Emitter, Mode, Redis, Sharded, Streams};
use tokio::time::sleep;

use crate::flags::Flags;

/// Where Redis is and how it is spoken to.
#[derive(Clone, Default)]
pub(crate) struct Bus {
    pub(crate) url: String,
    pub(crate) kind: String,
    pub(crate) key: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) specific: bool,
}

impl Bus {
    fn redis(&self) -> anyhow::Result<Redis> {
        Ok(Redis::new(&self.url)?)
    }

    fn classic(&self) -> anyhow::Result<Classic> {
        let bus = Classic::new(self.redis()?).publish_on_specific_response_channel(self.specific);
        Ok(bus.key(self.key()))
    }

    fn sharded(&self) -> anyhow::Result<Sharded> {
        let mode = match self.mode.as_deref() {
            None | Some("dynamic") => Mode::Dynamic,
            Some("dynamic-private") => Mode::DynamicPrivate,
            Some("static") => Mode::Static,
            Some(other) => bail!("unknown mode {other}"),
        };
        let bus = Sharded::new(self.redis()?).subscription_mode(mode);
        Ok(bus.channel_prefix(self.key()))
    }

    fn streams(&self) -> anyhow::Result<Streams> {
        Ok(Streams::new(self.redis()?).stream_name(self.key()).channel_prefix(self.key()))
    }

    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("socket.io")
    }

    /// The adapter that the flags ask for.
    pub(crate) fn join(&self, builder: ServerBuilder) -> anyhow::Result<ServerBuilder> {
        Ok(match &*self.kind {
            "classic" => builder.adapter(self.classic()?),
            "sharded" => builder.adapter(self.sharded()?),
            "streams" => builder.adapter(self.streams()?),
            other => bail!("unknown kind {other}"),
        })
    }

    fn emitter(&self) -> anyhow::Result<Emitter> {
        Ok(match &*self.kind {
            "classic" => self.classic()?.emitter(),
            "sharded" => self.sharded()?.emitter(),
            "streams" => self.streams()?.emitter(),
            other => bail!("unknown kind {other}"),
        })
    }
}

/// A server of a cluster, and what other servers told it.
#[derive(Clone)]
pub(crate) struct Member {
    server: Server,
    bus: Bus,
    heard: Arc<Mutex<Vec<Json>>>,
}

/// The body of `POST /do`.
#[derive(Deserialize)]
#[serde(default)]
struct Command {
    #[serde(rename = "do")]
    what: String,
    nsp: String,
    rooms: Vec<String>,
    except: Vec<String>,
    args: Vec<Json>,
    into: Vec<String>,
    timeout: Option<u64>,
    close: bool,
    volatile: bool,
    compress: Option<bool>,
    local: bool,
    from: u64,
    to: u64,
    every: u64,
}

impl Default for Command {
    fn default() -> Self {
        Self {
            what: String::new(),
            nsp: "/".to_owned(),
            rooms: Vec::new(),
            except: Vec::new(),
            args: Vec::new(),
            into: Vec::new(),
            timeout: None,
            close: false,
            volatile: false,
            compress: None,
            local: false,
            from: 0,
            to: 0,
            every: 0,
        }
    }
}

impl Command {
    /// The event: its name and arguments.
    fn event(&self) -> anyhow::Result<(String, Vec<Value>)> {
        let mut values = self.args.iter().map(unpack);
        match values.next() {
            Some(Value::String(name)) => Ok((name, values.collect())),
            _ => bail!("no event"),
        }
    }

    fn audience(&self, namespace: &Namespace) -> Operator {
        let mut audience = namespace.to(&self.rooms[..]).except(&self.except[..]);
        if self.volatile {
            audience = audience.volatile();
        }
        if let Some(yes) = self.compress {
            audience = audience.compress(yes);
        }
        if self.local {
            audience = audience.local();
        }
        match self.timeout {
            Some(ms) => audience.timeout(Duration::from_millis(ms)),
            None => audience,
        }
    }
}

impl Member {
    pub(crate) fn new(server: &Server, flags: &Flags) -> Self {
        let it = Self { server: server.clone(), bus: flags.bus.clone(), heard: Arc::default() };
        for name in ["/", "/custom"] {
            it.listen(&server.of(name), &flags.name);
        }
        it
    }

    /// What other servers tell this one, and what it answers them.
    fn listen(&self, namespace: &Namespace, name: &str) {
        let (heard, nsp) = (Arc::clone(&self.heard), namespace.name().to_owned());
        namespace.on_server_event("server-note", move |arguments| {
            let values: Vec<Value> = arguments.args().unwrap_or_default();
            let note = json!({ "nsp": nsp, "args": values.iter().map(pack).collect::<Vec<_>>() });
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(note);
            None
        });
        let name = name.to_owned();
        namespace.on_server_event("server-question", move |arguments| {
            let mut values: Vec<Value> = arguments.args().unwrap_or_default();
            values.insert(0, Value::String(name.clone()));
            Payload::args(&values).ok()
        });
    }

    /// Answers `POST /do`.
    pub(crate) async fn answer(&self, body: &[u8]) -> String {
        let answer = match serde_json::from_slice(body) {
            Ok(command) => self.obey(command).await,
            Err(error) => Err(error.into()),
        };
        match answer {
            Ok(value) => json!({ "value": value }),
            Err(error) => match error.downcast::<Partial>() {
                Ok(partial) => json!({
                    "error": partial.error,
                    "partial": partial.came,
                    "missing": partial.missing.count,
                    "names": partial.missing.names.iter().map(|name| &**name).collect::<Vec<_>>(),
                }),
                Err(error) => json!({ "error": format!("{error:#}") }),
            },
        }
        .to_string()
    }

    async fn obey(&self, command: Command) -> anyhow::Result<Json> {
        let namespace = self.server.of(&command.nsp);
        let audience = command.audience(&namespace);
        match &*command.what {
            "emit" => {
                let (name, values) = command.event()?;
                audience.emit(&name, Args(values))?;
            }
            "burst" => {
                let (name, mut values) = command.event()?;
                for n in command.from..command.to {
                    if command.every > 0 {
                        sleep(Duration::from_millis(command.every)).await;
                    }
                    values.push(Value::Number(n.into()));
                    audience.clone().emit(&name, Args(&values))?;
                    values.pop();
                }
            }
            "call" => {
                let (name, values) = command.event()?;
                let answers = audience.call::<Value>(&name, Args(values)).await;
                let missing = !answers.is_complete();
                let answers: Vec<Json> = answers.into_values().iter().map(pack).collect();
                return Ok(json!({ "answers": answers, "missing": missing }));
            }
            "join" => audience.sockets_join(command.into),
            "leave" => audience.sockets_leave(command.into),
            "disconnect" => audience.disconnect_sockets(command.close),
            "fetch" => {
                let describe = |sockets: Vec<FoundSocket>| sockets.iter().map(describe).collect();
                return match audience.fetch_sockets().await {
                    Ok(found) => Ok(describe(found)),
                    Err(error) => Err(partial(error.map(describe))),
                };
            }
            "rooms" => {
                let sort = |rooms: std::collections::HashSet<Arc<str>>| {
                    let mut rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
                    rooms.sort_unstable();
                    json!(rooms)
                };
                return match namespace.all_rooms().await {
                    Ok(rooms) => Ok(sort(rooms)),
                    Err(error) => Err(partial(error.map(sort))),
                };
            }
            "server-emit" => {
                let (name, values) = command.event()?;
                namespace.server_side_emit(&name, Args(values))?;
            }
            "server-call" => {
                let (name, values) = command.event()?;
                let first = |answers: Vec<Payload>| -> Json {
                    answers
                        .iter()
                        .map(|one| one.ack_arguments().arg().map_or(Json::Null, |it| pack(&it)))
                        .collect()
                };
                return Ok(match namespace.server_side_call(&name, Args(values)).await {
                    Ok(answers) => json!({ "answers": first(answers) }),
                    Err(error) => {
                        let (text, missing) = (error.to_string(), missing(&error));
                        let names: Vec<&str> = missing.names.iter().map(|name| &**name).collect();
                        json!({ "answers": first(error.partial), "error": text, "missing": missing.count, "names": names })
                    }
                });
            }
            "count" => return Ok(json!(namespace.server_count().await?)),
            "heard" => {
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                return Ok(Json::Array(std::mem::take(&mut *heard)));
            }
            "emitter" => return self.emitter(&command).await,
            one => return self.command_one(one, &command, audience).await,
        }
        Ok(Json::Null)
    }

    /// What is done to a single socket that was found.
    async fn command_one(&self, what: &str, command: &Command, audience: Operator) -> anyhow::Result<Json> {
        let found = audience.fetch_sockets().await.map_err(partial_of_sockets)?;
        let socket = found.first().context("no socket was found")?;
        match what {
            "one-emit" => {
                let (name, values) = command.event()?;
                socket.emit(&name, Args(values))?;
            }
            "one-call" => {
                let (name, values) = command.event()?;
                let timeout = Duration::from_millis(command.timeout.unwrap_or(5000));
                let answer: Value = match socket {
                    FoundSocket::Local(socket) => socket.call(&name, Args(values)).timeout(timeout).await?,
                    FoundSocket::Remote(socket) => socket.call(&name, Args(values), timeout).await?,
                };
                return Ok(pack(&answer));
            }
            "one-join" => socket.join(&command.into[..]),
            "one-leave" => socket.leave(&command.into[..]),
            "one-disconnect" => socket.disconnect(command.close),
            other => bail!("unknown command {other}"),
        }
        Ok(Json::Null)
    }

    /// What a process without a server does: `close` says which of its verbs.
    async fn emitter(&self, command: &Command) -> anyhow::Result<Json> {
        let mut emitter =
            self.bus.emitter()?.of(&command.nsp).to(command.rooms.clone()).except(command.except.clone());
        if command.volatile {
            emitter = emitter.volatile();
        }
        if let Some(yes) = command.compress {
            emitter = emitter.compress(yes);
        }
        let (verb, rest) = command.args.split_first().context("no verb")?;
        let event = || Command { args: rest.to_vec(), ..Command::default() }.event();
        match verb.as_str() {
            Some("emit") => {
                let (name, values) = event()?;
                emitter.emit(&name, Args(values)).await?;
            }
            Some("join") => emitter.sockets_join(command.into.clone()).await?,
            Some("leave") => emitter.sockets_leave(command.into.clone()).await?,
            Some("disconnect") => emitter.disconnect_sockets(command.close).await?,
            Some("server-emit") => {
                let (name, values) = event()?;
                emitter.server_side_emit(&name, Args(values)).await?;
            }
            _ => bail!("unknown verb {verb}"),
        }
        Ok(Json::Null)
    }
}

fn describe(found: &FoundSocket) -> Json {
    let description = found.description();
    let handshake = description.handshake.unwrap_or_default();
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Json::Null);
    let (auth, query, headers) = (read(&handshake.auth), read(&handshake.query), read(&handshake.headers));
    let (auth, query, header) = match found {
        // Of its own sockets a server knows everything; only what leaves it is held back.
        FoundSocket::Local(socket) => {
            let query: BTreeMap<_, _> = socket.handshake().query().collect();
            (socket.auth().unwrap_or(auth), json!(query), json!(socket.handshake().header("x-conformance")))
        }
        FoundSocket::Remote(_) => (auth, query, headers["x-conformance"].clone()),
    };
    let mut rooms: Vec<String> = found.rooms().iter().map(ToString::to_string).collect();
    rooms.sort();
    let data = found.info::<Value>().ok().flatten();
    json!({
        "id": found.id(),
        "rooms": rooms,
        "data": data.as_ref().map(pack).unwrap_or(json!({})),
        "auth": auth,
        "query": query,
        "header": header,
        "secure": handshake.secure,
        "address": handshake.address,
    })
}

/// What came, of something that is not whole.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Partial {
    came: Json,
    error: String,
    missing: Missing,
}

fn partial(error: Incomplete<Json>) -> anyhow::Error {
    let (text, missing) = (error.to_string(), missing(&error));
    Partial { came: error.partial, error: text, missing }.into()
}

fn partial_of_sockets(error: Incomplete<Vec<FoundSocket>>) -> anyhow::Error {
    partial(error.map(|found| json!(found.iter().map(FoundSocket::id).collect::<Vec<_>>())))
}

fn missing<T>(error: &Incomplete<T>) -> Missing {
    error.missing().cloned().unwrap_or_default()
}

/// From JSON, where a binary value is `{"$binary": base64}`.
fn unpack(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(value) => Value::Number(value.clone()),
        Json::String(value) => Value::String(value.clone()),
        Json::Array(values) => Value::Array(values.iter().map(unpack).collect()),
        Json::Object(values) => match values.get("$binary").and_then(Json::as_str) {
            Some(text) => Value::Binary(STANDARD.decode(text).unwrap_or_default().into()),
            None => Value::Object(values.iter().map(|(key, value)| (key.clone(), unpack(value))).collect()),
        },
    }
}

/// The same, back.
fn pack(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(value) => Json::Number(value.clone()),
        Value::String(value) => Json::String(value.clone()),
        Value::Binary(bytes) => json!({ "$binary": STANDARD.encode(bytes) }),
        Value::Array(values) => values.iter().map(pack).collect(),
        Value::Object(values) => {
            Json::Object(values.iter().map(|(key, value)| (key.clone(), pack(value))).collect::<Map<_, _>>())
        }
    }
}
