//! What the machine says: to the driver, and through it to the application.

use core::time::Duration;

use super::{AckId, Call, Failure, Reason, Refused, SocketId, Ticket, Unanswered, Wire};
use crate::engine::Transport;
use crate::socket::{Arguments, Payload};

/// What follows from what was fed.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// The driver has something to do on the network.
    Wire {
        /// For which connection; what comes of it is reported with the same number.
        connection: u32,
        /// What.
        wire: Wire,
    },
    /// Answer with [`Client::authorize`](super::Client::authorize).
    AuthWanted {
        /// Whose CONNECT waits for it.
        socket: SocketId,
        /// Goes with the answer.
        ticket: Ticket,
    },
    /// The server gave a session id. The sockets connect next.
    Opened {
        /// By which transport.
        transport: Transport,
    },
    /// From now on everything goes through a WebSocket.
    Upgraded,
    /// Polling goes on.
    UpgradeFailed(Failure),
    /// The server's heartbeat, already answered.
    Pinged,
    /// An attempt to connect failed. Every active socket may call it its own.
    ConnectFailed(Reason),
    /// A connection that was open is over.
    Lost(Reason),
    /// The next attempt will begin after this.
    Waiting(Duration),
    /// An attempt begins, counted from 1.
    Reconnecting {
        /// Which.
        attempt: u32,
    },
    /// An attempt succeeded.
    Reconnected {
        /// Which.
        attempt: u32,
    },
    /// There have been as many attempts as the plan has. [`Client::connect`](super::Client::connect) begins anew.
    GaveUp,
    /// We ended the connection, and all that had to leave has left (or the close timeout is over).
    Closed,
    /// The namespace accepted. What it sent before has been handed out, and what waited has been sent.
    Connected {
        /// Which socket.
        socket: SocketId,
        /// Whether the session is the one before, with all that was missed.
        recovered: bool,
    },
    /// The namespace refused. The socket stays away until [`Client::connect`](super::Client::connect).
    Refused {
        /// Which socket.
        socket: SocketId,
        /// Why.
        refused: Refused,
    },
    /// A socket that was connected is not any more.
    Disconnected {
        /// Which socket.
        socket: SocketId,
        /// Why.
        reason: Reason,
        /// Whether it will connect again by itself.
        active: bool,
    },
    /// An event from the server.
    Event {
        /// For which socket.
        socket: SocketId,
        /// Its name.
        name: String,
        /// What follows the name. With a server that recovers sessions, one more string at the end.
        args: Arguments<'static>,
        /// For [`Client::answer`](super::Client::answer), if an answer is asked for.
        ack: Option<AckId>,
    },
    /// The answer to a call.
    Answer {
        /// Whose call.
        socket: SocketId,
        /// Which.
        call: Call,
        /// The answer.
        args: Arguments<'static>,
    },
    /// A call will get no answer. Each call ends in exactly one of these two.
    Unanswered {
        /// Whose call.
        socket: SocketId,
        /// Which.
        call: Call,
        /// Why.
        why: Unanswered,
    },
    /// An event will not be sent (any more): it gave way in a full buffer, has been tried as often as it may, or the
    /// client was closed over it.
    Dropped {
        /// Whose event.
        socket: SocketId,
        /// Which.
        payload: Payload,
    },
}
