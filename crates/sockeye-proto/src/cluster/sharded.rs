//! The channels of the sharded adapter (Redis 7, `SSUBSCRIBE` and `SPUBLISH`). What is said there is in the words of
//! [`adapter`](super::adapter).

use super::{Body, Message};

/// Which rooms have a channel of their own. All servers of a cluster must agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Static,
    /// All but those of single sockets, which the adapter recognises by the length of their names: 20.
    #[default]
    Dynamic,
    /// All.
    DynamicPrivate,
}

/// The names of the channels of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels<'a> {
    /// What all names begin with; by default `socket.io`. Never shared with another kind of adapter.
    pub prefix: &'a str,
    /// The namespace.
    pub namespace: &'a str,
}

impl Channels<'_> {
    /// For all servers. The servers subscribed to it are the servers there are.
    pub fn all(&self) -> String {
        format!("{}#{}#", self.prefix, self.namespace)
    }

    /// For one server: what is said there is an answer. It has the form of a room's channel, so no server may be
    /// named like a room.
    pub fn server(&self, name: &str) -> String {
        self.room(name)
    }

    /// For the servers that have somebody in a room.
    pub fn room(&self, room: &str) -> String {
        format!("{}#{}#{room}#", self.prefix, self.namespace)
    }

    /// Where a message that is no answer is published.
    pub fn of(&self, message: &Message, mode: Mode) -> String {
        match &message.body {
            Body::Broadcast { options, request: None, .. } => match options.rooms.as_slice() {
                [room] if has_channel(room, mode) => self.room(room),
                _ => self.all(),
            },
            _ => self.all(),
        }
    }
}

/// Whether a server with somebody in this room subscribes to its channel, and broadcasts to it alone go there.
/// Rooms of single sockets have names of 20 UTF-16 units, and whatever else is as long is taken for one.
pub fn has_channel(room: &str, mode: Mode) -> bool {
    match mode {
        Mode::Static => false,
        Mode::Dynamic => room.encode_utf16().count() != 20,
        Mode::DynamicPrivate => true,
    }
}
