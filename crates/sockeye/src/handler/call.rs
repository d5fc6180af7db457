//! What extractors take from: one incoming event, one joining socket, one leaving socket.

use std::fmt;
use std::sync::Arc;

use sockeye_engine::Reason;
use sockeye_proto::socket::Arguments;

use crate::ack::AckSender;
use crate::socket::Socket;
use crate::state::States;

/// One incoming event, still in the read buffer.
pub struct Call<'a> {
    socket: &'a Socket,
    name: &'a str,
    args: &'a Arguments<'a>,
    ack: Option<AckSender>,
    states: &'a States,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        socket: &'a Socket,
        name: &'a str,
        args: &'a Arguments<'a>,
        ack: Option<AckSender>,
        states: &'a States,
    ) -> Self {
        Self { socket, name, args, ack, states }
    }

    /// The socket that sent it.
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// The event's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The arguments, unread.
    pub fn args(&self) -> &'a Arguments<'a> {
        self.args
    }

    /// Whether the client awaits an answer that no extractor has taken over yet.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Takes over the duty to answer; the handler's return value then answers nothing.
    pub fn take_ack(&mut self) -> Option<AckSender> {
        self.ack.take()
    }

    /// The server's states.
    pub fn states(&self) -> &'a States {
        self.states
    }
}

impl fmt::Debug for Call<'_> {
    // Never the arguments: they are the users' secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("ack", &self.ack.is_some())
            .finish_non_exhaustive()
    }
}

/// One socket that wants to join a namespace (middleware), or has just joined (`on_connect`).
pub struct ConnectCall<'a> {
    socket: &'a Socket,
    auth: &'a Auth,
    states: &'a States,
}

/// The JSON text a client sent in its CONNECT. Shared by middlewares and kept by the socket's handshake.
pub(crate) type Auth = Arc<str>;

impl<'a> ConnectCall<'a> {
    pub(crate) fn new(socket: &'a Socket, auth: &'a Auth, states: &'a States) -> Self {
        Self { socket, auth, states }
    }

    /// The socket.
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// What the client sent in its CONNECT, as JSON text; `{}` when it sent nothing. Secret: never log it.
    pub fn auth_json(&self) -> &'a str {
        self.auth
    }

    /// The server's states.
    pub fn states(&self) -> &'a States {
        self.states
    }
}

impl fmt::Debug for ConnectCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectCall(…)")
    }
}

/// One socket that leaves or has left.
pub struct DisconnectCall<'a> {
    socket: &'a Socket,
    reason: &'a Reason,
    states: &'a States,
}

impl<'a> DisconnectCall<'a> {
    pub(crate) fn new(socket: &'a Socket, reason: &'a Reason, states: &'a States) -> Self {
        Self { socket, reason, states }
    }

    /// The socket.
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// Why.
    pub fn reason(&self) -> &'a Reason {
        self.reason
    }

    /// The server's states.
    pub fn states(&self) -> &'a States {
        self.states
    }
}

impl fmt::Debug for DisconnectCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DisconnectCall").field("reason", &self.reason).finish_non_exhaustive()
    }
}
