//! The classic Redis adapter: `@socket.io/redis-adapter` 7 and 8 with its emitters, and its ancestors as far back as
//! `socket.io-redis` 5.
//!
//! Broadcasts are MessagePack, `[uid, packet, options]`, on channels of their own. Questions go to all servers on one
//! channel, answers to all on another, or to the asker alone on a third, in JSON or in MessagePack.
//!
//! `socket.io-redis` 5 has other numbers for its questions. Its messages are told by their `requestid`, and are given
//! the same meanings ([`Generation::Five`]); an answer must be spelled for the generation that asked. A question of
//! ours is never spelled for it: it would take "leave these rooms" for "join this room".

use std::sync::Arc;

use super::raw::Raw;
use super::read::{Reader, flag, optional_string, string};
use super::tree::Tree;
use super::{Body, EMITTER, Limits, Message, Options, Refused, Unsayable, write};

/// The names of the channels of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels<'a> {
    /// What all names begin with; by default `socket.io`. Never shared with another kind of adapter: what streams
    /// adapters publish would kill Node's classic servers.
    pub prefix: &'a str,
    /// The namespace.
    pub namespace: &'a str,
}

impl Channels<'_> {
    /// The pattern that covers all broadcasts: the one thing to `PSUBSCRIBE` to. What is special in patterns is
    /// escaped, for namespaces may come from clients.
    pub fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(32);
        for character in self.prefix.chars().chain(['#']).chain(self.namespace.chars()) {
            if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + "#*"
    }

    /// Where a broadcast is published: a single room has a channel of its own.
    pub fn broadcast(&self, options: &Options) -> String {
        match options.rooms.as_slice() {
            [room] => format!("{}#{}#{room}#", self.prefix, self.namespace),
            _ => format!("{}#{}#", self.prefix, self.namespace),
        }
    }

    /// The room of such a channel, empty for that of all; nothing if it is not one of this namespace. Where nobody is
    /// in the room, the message need not be looked at.
    pub fn room<'c>(&self, channel: &'c str) -> Option<&'c str> {
        let room = channel.strip_prefix(self.prefix)?.strip_prefix('#')?;
        let room = room.strip_prefix(self.namespace)?.strip_prefix('#')?;
        if room.is_empty() { Some(room) } else { room.strip_suffix('#') }
    }

    /// For questions. The servers subscribed to it are the servers there are, so each subscribes once.
    pub fn request(&self) -> String {
        format!("{}-request#{}#", self.prefix, self.namespace)
    }

    /// For answers, to all.
    pub fn response(&self) -> String {
        format!("{}-response#{}#", self.prefix, self.namespace)
    }

    /// For answers, to one server.
    pub fn response_to(&self, name: &str) -> String {
        format!("{}-response#{}#{name}#", self.prefix, self.namespace)
    }

    /// Where a question is answered: to its asker alone, if that is known to listen there.
    pub fn answer(&self, asked: &Asked) -> String {
        match &asked.message {
            // The first version that says who asks for these does not listen yet.
            Message { body: Body::ServerEvent { .. }, .. } => self.response(),
            Message { from: Some(name), .. } if asked.generation == Generation::Current => {
                self.response_to(name)
            }
            _ => self.response(),
        }
    }
}

/// A question, or something to be done, and in whose words it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is meant.
    pub message: Message,
    /// In whose words an answer is understood.
    pub generation: Generation,
}

/// Whose numbers and names are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generation {
    /// Versions 6, 7 and 8.
    #[default]
    Current,
    /// Version 5 and its ancestors, for Socket.IO 2.
    Five,
}

/// What the other servers of the cluster can read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Peers {
    /// Some may be older than 7.2, which read questions and answers in JSON only, and some of which die of anything
    /// else: MessagePack is used where JSON would lose something.
    #[default]
    Any,
    /// All are 7.2 or newer: the encodings are those that they use themselves.
    Current,
}

/// Reads a broadcast.
///
/// Its namespace is the one that it names; patterns may match the channels of others.
///
/// # Errors
/// See [`Refused`].
pub fn decode_broadcast(bytes: &[u8], limits: &Limits) -> Result<Message, Refused> {
    let parts = Raw::msgpack(bytes, limits)?.entries("message", 3)?;
    let [from, packet, options] = parts.as_slice() else { return Err(Refused::Field("message")) };
    let mut reader = Reader::new(limits);
    let (payload, namespace) = reader.packet(Some(*packet))?;
    let options = reader.options(Some(*options))?;
    Ok(Message {
        from: Some(string(Some(*from), "uid")?),
        namespace: namespace.unwrap_or_else(|| "/".into()),
        body: Body::Broadcast { payload, options, request: None },
    })
}

/// Writes a broadcast that wants no answers, always as MessagePack.
///
/// # Errors
/// If it is something else, or does not say whom it is from.
pub fn encode_broadcast(message: &Message) -> Result<Vec<u8>, Unsayable> {
    let (Some(from), Body::Broadcast { payload, options, request: None }) = (&message.from, &message.body)
    else {
        return Err(Unsayable);
    };
    let parts = vec![
        Tree::text(from),
        write::packet(payload, Some(&message.namespace)),
        write::options(options, write::is_emitter(message)),
    ];
    Ok(Tree::List(parts).to_msgpack())
}

/// Reads what came on the channel for questions of a namespace.
///
/// # Errors
/// See [`Refused`].
pub fn decode_request(bytes: &[u8], namespace: &str, limits: &Limits) -> Result<Asked, Refused> {
    let raw = Raw::message(bytes, limits)?;
    let [from, request, old, kind] = raw.fields("message", ["uid", "requestId", "requestid", "type"])?;
    let kind = kind.and_then(Raw::number).ok_or(Refused::Field("type"))?;
    let (generation, body) = match old.filter(|old| !old.is_nothing()) {
        Some(old) => (Generation::Five, request_of_five(raw, kind, string(Some(old), "requestid")?, limits)?),
        None => (Generation::Current, request_body(raw, kind, request, limits)?),
    };
    let message = Message { from: optional_string(from, "uid")?, namespace: namespace.into(), body };
    Ok(Asked { message, generation })
}

fn request_body(raw: Raw<'_>, kind: u64, request: Option<Raw<'_>>, limits: &Limits) -> Result<Body, Refused> {
    let mut reader = Reader::new(limits);
    let [options, rooms, socket, room, close, data, packet] =
        raw.fields("message", ["opts", "rooms", "sid", "room", "close", "data", "packet"])?;
    let wanted = || string(request, "requestId");
    // The deprecated forms name a socket.
    let one = options.is_none() && socket.is_some();
    Ok(match (kind, one) {
        (0, _) => Body::SocketIds { request: wanted()?, rooms: reader.names(rooms, "rooms")? },
        (1, _) => Body::AllRooms { request: wanted()? },
        (2, false) => Body::Join { options: reader.options(options)?, rooms: reader.names(rooms, "rooms")? },
        (3, false) => Body::Leave { options: reader.options(options)?, rooms: reader.names(rooms, "rooms")? },
        (4, false) => Body::Disconnect { options: reader.options(options)?, close: flag(close, "close")? },
        (2, true) => {
            Body::JoinOne { request: wanted()?, socket: name(socket, "sid")?, room: name(room, "room")? }
        }
        (3, true) => {
            Body::LeaveOne { request: wanted()?, socket: name(socket, "sid")?, room: name(room, "room")? }
        }
        (4, true) => Body::DisconnectOne {
            request: wanted()?,
            socket: name(socket, "sid")?,
            close: flag(close, "close")?,
        },
        (5, _) => Body::FetchSockets { options: reader.options(options)?, request: wanted()? },
        (6, _) => Body::ServerEvent {
            payload: reader.event(data, "data")?,
            request: optional_string(request, "requestId")?,
        },
        (7, _) => Body::Broadcast {
            payload: reader.packet(packet)?.0,
            options: reader.options(options)?,
            request: Some(wanted()?),
        },
        _ => return Err(Refused::UnknownType),
    })
}

fn request_of_five(raw: Raw<'_>, kind: u64, request: Arc<str>, limits: &Limits) -> Result<Body, Refused> {
    let mut reader = Reader::new(limits);
    let [rooms, socket, room, close, data] =
        raw.fields("message", ["rooms", "sid", "room", "close", "data"])?;
    let socket = || name(socket, "sid");
    Ok(match kind {
        0 => Body::SocketIds { request, rooms: reader.names(rooms, "rooms")? },
        1 => Body::RoomsOf { request, socket: socket()? },
        2 => Body::AllRooms { request },
        3 => Body::JoinOne { request, socket: socket()?, room: name(room, "room")? },
        4 => Body::LeaveOne { request, socket: socket()?, room: name(room, "room")? },
        5 => Body::Custom { request, data: reader.value(data)? },
        6 => Body::DisconnectOne { request, socket: socket()?, close: flag(close, "close")? },
        _ => return Err(Refused::UnknownType),
    })
}

fn name(raw: Option<Raw<'_>>, what: &'static str) -> Result<Arc<str>, Refused> {
    raw.and_then(Raw::name).map(Arc::from).ok_or(Refused::Field(what))
}

/// Writes a question, or something to be done, for the channel of questions.
///
/// # Errors
/// If it is something else, or needs to say whom it is from and does not.
pub fn encode_request(message: &Message, peers: Peers) -> Result<Vec<u8>, Unsayable> {
    // Emitters do not say who they are where nobody needs to know.
    let name = message.from.as_deref().map(|from| ("uid", Tree::text(from)));
    let from = || message.from.as_deref().map(|from| ("uid", Tree::text(from))).ok_or(Unsayable);
    let unless_emitter = name.filter(|_| message.from.as_deref() != Some(EMITTER));
    let kind = |kind: u64| ("type", Tree::Number(kind));
    let id = |request: &'_ Arc<str>| ("requestId", Tree::Text(request.to_string().into()));
    let (mut members, rest) = match &message.body {
        Body::SocketIds { request, rooms } => {
            (vec![from()?, id(request), kind(0)], vec![("rooms", write::names(rooms))])
        }
        Body::AllRooms { request } => (vec![from()?, id(request), kind(1)], Vec::new()),
        Body::Join { options, rooms } => (
            unless_emitter.into_iter().chain([kind(2)]).collect(),
            vec![("opts", write::audience(options)), ("rooms", write::names(rooms))],
        ),
        Body::Leave { options, rooms } => (
            unless_emitter.into_iter().chain([kind(3)]).collect(),
            vec![("opts", write::audience(options)), ("rooms", write::names(rooms))],
        ),
        Body::Disconnect { options, close } => (
            unless_emitter.into_iter().chain([kind(4)]).collect(),
            vec![("opts", write::audience(options)), ("close", Tree::Bool(*close))],
        ),
        Body::JoinOne { request, socket, room } => (
            vec![from()?, id(request), kind(2)],
            vec![("sid", Tree::text(socket)), ("room", Tree::text(room))],
        ),
        Body::LeaveOne { request, socket, room } => (
            vec![from()?, id(request), kind(3)],
            vec![("sid", Tree::text(socket)), ("room", Tree::text(room))],
        ),
        Body::DisconnectOne { request, socket, close } => (
            vec![from()?, id(request), kind(4)],
            vec![("sid", Tree::text(socket)), ("close", Tree::Bool(*close))],
        ),
        Body::FetchSockets { options, request } => {
            (vec![from()?, id(request), kind(5)], vec![("opts", write::audience(options))])
        }
        Body::ServerEvent { payload, request } => {
            let mut members = vec![from()?];
            members.extend(request.as_ref().map(id));
            members.push(kind(6));
            // Always JSON: binary values are spelled out, as Node's servers do, and as their oldest can read.
            members.push(("data", Tree::payload(payload)));
            return Ok(Tree::Map(members).to_json().into_bytes());
        }
        Body::Broadcast { payload, options, request: Some(request) } => {
            let members = vec![
                from()?,
                id(request),
                kind(7),
                ("packet", write::packet(payload, Some(&message.namespace))),
                ("opts", write::options(options, false)),
            ];
            return Ok(for_peers(&Tree::Map(members), peers));
        }
        _ => return Err(Unsayable),
    };
    members.extend(rest);
    Ok(Tree::Map(members).to_json().into_bytes())
}

fn for_peers(tree: &Tree<'_>, peers: Peers) -> Vec<u8> {
    match peers {
        Peers::Any => tree.to_bytes(),
        Peers::Current => tree.to_msgpack(),
    }
}

/// Reads what came on a channel for answers of a namespace. An empty list of sockets is [`Body::Sockets`], also where
/// ids were asked for: the answer does not tell.
///
/// # Errors
/// See [`Refused`].
pub fn decode_response(bytes: &[u8], namespace: &str, limits: &Limits) -> Result<Message, Refused> {
    let raw = Raw::message(bytes, limits)?;
    let [kind, request, old, sockets, clients, rooms, data, count, packet] = raw.fields(
        "message",
        ["type", "requestId", "requestid", "sockets", "clients", "rooms", "data", "clientCount", "packet"],
    )?;
    let mut reader = Reader::new(limits);
    let five = request.is_none() && old.is_some();
    let request = string(request.or(old), "requestId")?;
    let body = match kind.filter(|kind| !kind.is_nothing()) {
        Some(kind) => match kind.number().ok_or(Refused::Field("type"))? {
            6 => Body::ServerEventAck { request, answer: reader.value(data)? },
            8 => {
                let count = count.and_then(Raw::number).ok_or(Refused::Field("clientCount"))?;
                Body::ClientCount { request, count }
            }
            9 => Body::ClientAck { request, answer: reader.value(packet)? },
            _ => return Err(Refused::UnknownType),
        },
        None => match (sockets, clients, rooms, data) {
            (Some(sockets), ..) => {
                let described = sockets.entries("sockets", limits.names)?;
                if described.first().is_none_or(|first| first.is_map()) {
                    Body::Sockets { request, sockets: reader.sockets(Some(sockets))? }
                } else {
                    Body::Ids { request, ids: reader.names(Some(sockets), "sockets")? }
                }
            }
            (_, Some(ids), ..) => Body::Ids { request, ids: reader.names(Some(ids), "clients")? },
            (_, _, Some(rooms), _) => Body::Rooms { request, rooms: reader.names(Some(rooms), "rooms")? },
            (_, _, _, Some(data)) if five => Body::CustomAnswer { request, data: reader.value(Some(data))? },
            _ => Body::Done { request },
        },
    };
    Ok(Message { from: None, namespace: namespace.into(), body })
}

/// Writes an answer, in the words of the generation that asked, for the channel that [`Channels::answer`] names.
///
/// # Errors
/// If that generation has no such answer.
pub fn encode_response(message: &Message, asker: Generation, peers: Peers) -> Result<Vec<u8>, Unsayable> {
    let five = asker == Generation::Five;
    let id = |request: &'_ Arc<str>| {
        (if five { "requestid" } else { "requestId" }, Tree::Text(request.to_string().into()))
    };
    let typed = |kind: u64, request: &'_ Arc<str>, what: Option<(&'static str, Tree<'_>)>| match five {
        true => Err(Unsayable),
        false => {
            let mut members = vec![("type", Tree::Number(kind)), id(request)];
            members.extend(what);
            Ok(Tree::Map(members).to_json().into_bytes())
        }
    };
    let members = match &message.body {
        Body::Ids { request, ids } => {
            vec![id(request), (if five { "clients" } else { "sockets" }, write::names(ids))]
        }
        Body::Sockets { request, sockets } if !five => {
            vec![id(request), ("sockets", write::sockets(sockets))]
        }
        Body::Rooms { request, rooms } => vec![id(request), ("rooms", write::names(rooms))],
        Body::Done { request } => vec![id(request)],
        Body::CustomAnswer { request, data } if five => {
            let data = Tree::first(data).map(|data| ("data", data));
            [id(request)].into_iter().chain(data).collect()
        }
        Body::ServerEventAck { request, answer } => {
            return typed(6, request, Tree::first(answer).map(|answer| ("data", answer)));
        }
        Body::ClientCount { request, count } => {
            return typed(8, request, Some(("clientCount", Tree::Number(*count))));
        }
        Body::ClientAck { request, answer } if !five => {
            let mut members = vec![("type", Tree::Number(9)), id(request)];
            members.extend(Tree::first(answer).map(|answer| ("packet", answer)));
            return Ok(for_peers(&Tree::Map(members), peers));
        }
        _ => return Err(Unsayable),
    };
    Ok(Tree::Map(members).to_json().into_bytes())
}
