//! The meanings, apart from all spelling.

use std::sync::Arc;
use std::time::Duration;

use crate::socket::Payload;

/// The name under which processes without a server speak. Nobody waits for answers of theirs.
pub const EMITTER: &str = "emitter";

/// One server tells the others something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it. Some senders of the classic dialect do not tell.
    pub from: Option<Arc<str>>,
    /// In which namespace.
    pub namespace: Arc<str>,
    /// What.
    pub body: Body,
}

/// What is said. Where there is a `request`, an answer is wanted under that id, or this is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// I am new here; who else is there?
    InitialHeartbeat,
    /// I am here.
    Heartbeat,
    /// Deliver an event.
    Broadcast {
        /// Its name and arguments.
        payload: Payload,
        /// To whom, and how.
        options: Options,
        /// One [`Body::ClientCount`] of every server and one [`Body::ClientAck`] of every client are wanted.
        request: Option<Arc<str>>,
    },
    /// Have sockets join rooms.
    Join {
        /// Which sockets.
        options: Options,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Have sockets leave rooms.
    Leave {
        /// Which sockets.
        options: Options,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Disconnect sockets.
    Disconnect {
        /// Which sockets.
        options: Options,
        /// Whether their sessions end as well.
        close: bool,
    },
    /// Describe sockets.
    FetchSockets {
        /// Which sockets.
        options: Options,
        /// To be answered with [`Body::Sockets`].
        request: Arc<str>,
    },
    /// The answer to [`Body::FetchSockets`].
    Sockets {
        /// The question.
        request: Arc<str>,
        /// One for each socket.
        sockets: Vec<SocketDescription>,
    },
    /// An event for the servers themselves.
    ServerEvent {
        /// Its name and arguments.
        payload: Payload,
        /// One [`Body::ServerEventAck`] of every server is wanted.
        request: Option<Arc<str>>,
    },
    /// What a listener answered to [`Body::ServerEvent`].
    ServerEventAck {
        /// The question.
        request: Arc<str>,
        /// The arguments of the acknowledgement: one or none. Of several, only the first is sent.
        answer: Payload,
    },
    /// To how many clients of this server a [`Body::Broadcast`] with a request went; also when none.
    ClientCount {
        /// The question.
        request: Arc<str>,
        /// How many.
        count: u64,
    },
    /// What one client answered to such a broadcast.
    ClientAck {
        /// The question.
        request: Arc<str>,
        /// The arguments of the acknowledgement: one or none. Of several, only the first is sent.
        answer: Payload,
    },
    /// I go.
    Close,
    /// Classic only: which rooms are there?
    AllRooms {
        /// To be answered with [`Body::Rooms`].
        request: Arc<str>,
    },
    /// Classic only: the answer to [`Body::AllRooms`] and [`Body::RoomsOf`].
    Rooms {
        /// The question.
        request: Arc<str>,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Classic 7 and older: the ids of the sockets in any of these rooms (in all, if there are none).
    SocketIds {
        /// To be answered with [`Body::Ids`].
        request: Arc<str>,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// The answer to [`Body::SocketIds`].
    Ids {
        /// The question.
        request: Arc<str>,
        /// The sockets' ids.
        ids: Vec<Arc<str>>,
    },
    /// Classic 7 and older: the server that has this socket lets it join a room.
    JoinOne {
        /// To be answered with [`Body::Done`] by the server that has the socket, and by nobody else.
        request: Arc<str>,
        /// The socket's id.
        socket: Arc<str>,
        /// The room.
        room: Arc<str>,
    },
    /// Classic 7 and older: likewise, and leave.
    LeaveOne {
        /// As in [`Body::JoinOne`].
        request: Arc<str>,
        /// The socket's id.
        socket: Arc<str>,
        /// The room.
        room: Arc<str>,
    },
    /// Classic 7 and older: likewise, and be disconnected.
    DisconnectOne {
        /// As in [`Body::JoinOne`].
        request: Arc<str>,
        /// The socket's id.
        socket: Arc<str>,
        /// Whether its session ends as well.
        close: bool,
    },
    /// The answer to [`Body::JoinOne`] and its like.
    Done {
        /// The question.
        request: Arc<str>,
    },
    /// Classic 5: the rooms of one socket, asked of the server that has it.
    RoomsOf {
        /// To be answered with [`Body::Rooms`].
        request: Arc<str>,
        /// The socket's id.
        socket: Arc<str>,
    },
    /// Classic 5: something of the application's own, to be answered with [`Body::CustomAnswer`].
    Custom {
        /// The question.
        request: Arc<str>,
        /// One value.
        data: Payload,
    },
    /// The answer to [`Body::Custom`].
    CustomAnswer {
        /// The question.
        request: Arc<str>,
        /// One value.
        data: Payload,
    },
}

/// For whom something is, and how to deliver it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The union of these rooms; everybody, if there are none. A socket's id is a room.
    pub rooms: Vec<Arc<str>>,
    /// Without anybody who is in one of these.
    pub except: Vec<Arc<str>>,
    /// How.
    pub flags: Flags,
}

impl Options {
    /// Whether somebody who is in these rooms is meant.
    pub fn mean(&self, rooms: &[Arc<str>]) -> bool {
        let within = |wanted: &[Arc<str>]| wanted.iter().any(|room| rooms.contains(room));
        (self.rooms.is_empty() || within(&self.rooms)) && !within(&self.except)
    }
}

/// How something is delivered. What others write besides (`broadcast`, `json`, `binary`) says nothing to a receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Drop it for whoever cannot take it right now.
    pub volatile: bool,
    /// Whether transports may compress it; absent means yes.
    pub compress: Option<bool>,
    /// Only the asker's business: it asked a single socket.
    pub expect_single_response: bool,
    /// How long the asker waits. Written in whole milliseconds.
    pub timeout: Option<Duration>,
}

/// A socket of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketDescription {
    /// Its id.
    pub id: Arc<str>,
    /// How it came. Node's servers need one and always send one.
    pub handshake: Option<Handshake>,
    /// Its rooms, its own included.
    pub rooms: Vec<Arc<str>>,
    /// What the application keeps with it: one value, or none. Binary is possible.
    pub data: Payload,
}

/// How a client came. Node's servers send headers and auth, which are secrets, to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// A JSON object.
    pub headers: String,
    /// When, in the words of JavaScript's `Date`.
    pub time: String,
    /// The client's address.
    pub address: String,
    /// Whether its page is of another site.
    pub xdomain: bool,
    /// Whether its connection is encrypted.
    pub secure: bool,
    /// When, in milliseconds since 1970.
    pub issued: u64,
    /// The path and query of its request.
    pub url: String,
    /// A JSON object.
    pub query: String,
    /// What it sent with CONNECT: any JSON value.
    pub auth: String,
}

impl Default for Handshake {
    /// One that tells nothing, in the shape that Node's servers expect.
    fn default() -> Handshake {
        Handshake {
            headers: "{}".to_owned(),
            time: String::new(),
            address: String::new(),
            xdomain: false,
            secure: false,
            issued: 0,
            url: String::new(),
            query: "{}".to_owned(),
            auth: "{}".to_owned(),
        }
    }
}
