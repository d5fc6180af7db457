//! The parts that all spellings have in common, written.

use std::sync::Arc;

use super::tree::Tree;
use super::{EMITTER, Flags, Limits, Message, Options, SocketDescription};
use crate::socket::{Payload, json};

/// Options with everything in them, in the order in which servers (or emitters) write it.
pub(super) fn options(options: &Options, emitter: bool) -> Tree<'_> {
    let rooms = ("rooms", names(&options.rooms));
    let except = ("except", names(&options.except));
    let flags = ("flags", flags(&options.flags));
    Tree::Map(if emitter { vec![rooms, flags, except] } else { vec![rooms, except, flags] })
}

/// Whom something concerns, and nothing else.
pub(super) fn audience(options: &Options) -> Tree<'_> {
    Tree::Map(vec![("rooms", names(&options.rooms)), ("except", names(&options.except))])
}

fn flags(flags: &Flags) -> Tree<'static> {
    let mut members = Vec::new();
    if flags.volatile {
        members.push(("volatile", Tree::Bool(true)));
    }
    if let Some(compress) = flags.compress {
        members.push(("compress", Tree::Bool(compress)));
    }
    if flags.expect_single_response {
        members.push(("expectSingleResponse", Tree::Bool(true)));
    }
    if let Some(timeout) = flags.timeout {
        members.push(("timeout", Tree::Number(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))));
    }
    Tree::Map(members)
}

pub(super) fn names(names: &[Arc<str>]) -> Tree<'_> {
    Tree::List(names.iter().map(|name| Tree::text(name)).collect())
}

/// An event to be delivered.
pub(super) fn packet<'a>(payload: &'a Payload, namespace: Option<&'a str>) -> Tree<'a> {
    let mut members = vec![("type", Tree::Number(2)), ("data", Tree::payload(payload))];
    members.extend(namespace.map(|namespace| ("nsp", Tree::text(namespace))));
    Tree::Map(members)
}

pub(super) fn sockets(sockets: &[SocketDescription]) -> Tree<'_> {
    Tree::List(sockets.iter().map(socket).collect())
}

fn socket(socket: &SocketDescription) -> Tree<'_> {
    let mut members = vec![("id", Tree::text(&socket.id))];
    if let Some(handshake) = &socket.handshake {
        let handshake = vec![
            ("headers", object(&handshake.headers)),
            ("time", Tree::text(&handshake.time)),
            ("address", Tree::text(&handshake.address)),
            ("xdomain", Tree::Bool(handshake.xdomain)),
            ("secure", Tree::Bool(handshake.secure)),
            ("issued", Tree::Number(handshake.issued)),
            ("url", Tree::text(&handshake.url)),
            ("query", object(&handshake.query)),
            ("auth", object(&handshake.auth)),
        ];
        members.push(("handshake", Tree::Map(handshake)));
    }
    members.push(("rooms", names(&socket.rooms)));
    members.extend(Tree::first(&socket.data).map(|data| ("data", data)));
    Tree::Map(members)
}

/// What claims to be JSON and is not would be the receivers' ruin.
fn object(text: &str) -> Tree<'_> {
    Tree::Json(json::value(text, Limits::default().depth).unwrap_or("{}").trim_ascii(), &[])
}

/// Emitters write some things in another order, and some that servers leave out.
pub(super) fn is_emitter(message: &Message) -> bool {
    message.from.as_deref() == Some(EMITTER)
}
