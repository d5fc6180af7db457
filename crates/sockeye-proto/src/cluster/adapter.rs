//! The protocol of Node's `ClusterAdapter`: thirteen types of message in one envelope, `{type, data, uid, nsp}`. The
//! sharded and streams adapters speak it, and others that are not on Redis.

use std::sync::Arc;

use super::raw::Raw;
use super::read::{Reader, flag, needed, optional_string, string};
use super::tree::Tree;
use super::{Body, Limits, Message, Refused, Unsayable, write};

/// Reads a message, whichever way it is encoded.
///
/// `channel` is the namespace of the channel on which it came: some senders do not repeat it. A message whose
/// namespace differs from that is returned as it is, and is nobody's on this channel.
///
/// # Errors
/// See [`Refused`].
pub fn decode(bytes: &[u8], channel: &str, limits: &Limits) -> Result<Message, Refused> {
    let [from, namespace, kind, data] =
        Raw::message(bytes, limits)?.fields("message", ["uid", "nsp", "type", "data"])?;
    let kind = kind.and_then(Raw::number).ok_or(Refused::Field("type"))?;
    Ok(Message {
        from: Some(string(from, "uid")?),
        namespace: optional_string(namespace, "nsp")?.unwrap_or_else(|| channel.into()),
        body: body(kind, data, limits)?,
    })
}

/// Writes a message: as JSON if nothing in it is binary, as MessagePack otherwise. So do sharded adapters.
///
/// # Errors
/// If this protocol has no such message, or it does not say whom it is from.
pub fn encode(message: &Message) -> Result<Vec<u8>, Unsayable> {
    Ok(envelope(message)?.to_bytes())
}

/// Writes a message as MessagePack. So do streams adapters, in what they publish.
///
/// # Errors
/// If this protocol has no such message, or it does not say whom it is from.
pub fn encode_msgpack(message: &Message) -> Result<Vec<u8>, Unsayable> {
    Ok(envelope(message)?.to_msgpack())
}

fn envelope(message: &Message) -> Result<Tree<'_>, Unsayable> {
    let from = message.from.as_deref().ok_or(Unsayable)?;
    let (kind, data) = data(message)?;
    let mut members = vec![("type", Tree::Number(kind))];
    members.extend(data.map(|data| ("data", data)));
    members.push(("uid", Tree::text(from)));
    members.push(("nsp", Tree::text(&message.namespace)));
    Ok(Tree::Map(members))
}

/// The number of a type, and its `data`.
pub(super) fn data(message: &Message) -> Result<(u64, Option<Tree<'_>>), Unsayable> {
    let emitter = write::is_emitter(message);
    let id = |request: &'_ Arc<str>| ("requestId", Tree::Text(request.to_string().into()));
    let (kind, members) = match &message.body {
        Body::InitialHeartbeat => return Ok((1, None)),
        Body::Heartbeat => return Ok((2, None)),
        Body::Close => return Ok((13, None)),
        Body::Broadcast { payload, options, request } => {
            let namespace = emitter.then_some(&*message.namespace);
            let mut members = vec![("packet", write::packet(payload, namespace))];
            members.extend(request.as_ref().map(id));
            members.push(("opts", write::options(options, emitter)));
            (3, members)
        }
        Body::Join { options, rooms } => {
            (4, vec![("opts", write::options(options, false)), ("rooms", write::names(rooms))])
        }
        Body::Leave { options, rooms } => {
            (5, vec![("opts", write::options(options, false)), ("rooms", write::names(rooms))])
        }
        Body::Disconnect { options, close } => {
            (6, vec![("opts", write::options(options, false)), ("close", Tree::Bool(*close))])
        }
        Body::FetchSockets { options, request } => {
            (7, vec![("opts", write::options(options, false)), id(request)])
        }
        Body::Sockets { request, sockets } => (8, vec![id(request), ("sockets", write::sockets(sockets))]),
        Body::ServerEvent { payload, request } => {
            let mut members: Vec<_> = request.as_ref().map(id).into_iter().collect();
            members.push(("packet", Tree::payload(payload)));
            (9, members)
        }
        Body::ServerEventAck { request, answer } => (10, acknowledgement(id(request), answer)),
        Body::ClientCount { request, count } => {
            (11, vec![id(request), ("clientCount", Tree::Number(*count))])
        }
        Body::ClientAck { request, answer } => (12, acknowledgement(id(request), answer)),
        _ => return Err(Unsayable),
    };
    Ok((kind, Some(Tree::Map(members))))
}

fn acknowledgement<'a>(
    id: (&'static str, Tree<'a>),
    answer: &'a crate::socket::Payload,
) -> Vec<(&'static str, Tree<'a>)> {
    let mut members = vec![id];
    members.extend(Tree::first(answer).map(|answer| ("packet", answer)));
    members
}

/// What `data` says in a message of this type.
pub(super) fn body(kind: u64, data: Option<Raw<'_>>, limits: &Limits) -> Result<Body, Refused> {
    let mut reader = Reader::new(limits);
    match kind {
        1 => return Ok(Body::InitialHeartbeat),
        2 => return Ok(Body::Heartbeat),
        13 => return Ok(Body::Close),
        3..=12 => {}
        _ => return Err(Refused::UnknownType),
    }
    let [options, packet, rooms, close, request, sockets, count] = needed(data, "data")?
        .fields("data", ["opts", "packet", "rooms", "close", "requestId", "sockets", "clientCount"])?;
    let wanted = || string(request, "requestId");
    Ok(match kind {
        3 => Body::Broadcast {
            payload: reader.packet(packet)?.0,
            options: reader.options(options)?,
            request: optional_string(request, "requestId")?,
        },
        4 => Body::Join { options: reader.options(options)?, rooms: reader.names(rooms, "rooms")? },
        5 => Body::Leave { options: reader.options(options)?, rooms: reader.names(rooms, "rooms")? },
        6 => Body::Disconnect { options: reader.options(options)?, close: flag(close, "close")? },
        7 => Body::FetchSockets { options: reader.options(options)?, request: wanted()? },
        8 => Body::Sockets { request: wanted()?, sockets: reader.sockets(sockets)? },
        9 => Body::ServerEvent {
            payload: reader.event(packet, "packet")?,
            request: optional_string(request, "requestId")?,
        },
        10 => Body::ServerEventAck { request: wanted()?, answer: reader.value(packet)? },
        11 => Body::ClientCount {
            request: wanted()?,
            count: count.and_then(Raw::number).ok_or(Refused::Field("clientCount"))?,
        },
        _ => Body::ClientAck { request: wanted()?, answer: reader.value(packet)? },
    })
}
