//! Sockets as [`fetch_sockets`](crate::Operator::fetch_sockets) finds them: here, or on another node.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::socket::ReadError;

use crate::ack::CallError;
use crate::cluster::SocketDescription;
use crate::describe;
use crate::emit::EmitError;
use crate::namespace::Namespace;
use crate::operator::{IntoRooms, Operator};
use crate::socket::Socket;

/// A socket found by [`fetch_sockets`](Operator::fetch_sockets).
#[derive(Debug, Clone)]
pub enum FoundSocket {
    /// On this node: the socket itself.
    Local(Socket),
    /// On another.
    Remote(RemoteSocket),
}

impl FoundSocket {
    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::Local(socket) => socket.id(),
            Self::Remote(socket) => socket.id(),
        }
    }

    /// The rooms, its own included: now for a local socket, as of the answer for a remote one.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        match self {
            Self::Local(socket) => socket.rooms(),
            Self::Remote(socket) => socket.description.rooms.clone(),
        }
    }

    /// What [`Socket::set_info`] set, or `socket.data` of a Node server, read as a `T`; `None` if nothing was set.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn info<T: DeserializeOwned>(&self) -> Result<Option<T>, ReadError> {
        let data = match self {
            Self::Local(socket) => &describe::data(socket.info_json().as_deref()),
            Self::Remote(socket) => &socket.description.data,
        };
        match data.text() {
            "[]" => Ok(None),
            _ => data.ack_arguments().arg().map(Some),
        }
    }

    /// What other servers know about it. Of a socket on another server, headers, query and auth are there only if that
    /// server [shares](crate::ServerBuilder::share_handshake) them.
    pub fn description(&self) -> SocketDescription {
        match self {
            Self::Local(socket) => describe::describe(socket),
            Self::Remote(socket) => SocketDescription::clone(&socket.description),
        }
    }

    /// Sends it an event, wherever it is.
    ///
    /// # Errors
    /// When the event could not be sent; for a remote socket only when its arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        match self {
            Self::Local(socket) => socket.emit(name, args),
            Self::Remote(socket) => socket.emit(name, args),
        }
    }

    /// Has it join rooms.
    pub fn join(&self, rooms: impl IntoRooms) {
        match self {
            Self::Local(socket) => socket.join(rooms),
            Self::Remote(socket) => socket.operator().sockets_join(rooms),
        }
    }

    /// Has it leave rooms.
    pub fn leave(&self, rooms: impl IntoRooms) {
        match self {
            Self::Local(socket) => socket.leave(rooms),
            Self::Remote(socket) => socket.operator().sockets_leave(rooms),
        }
    }

    /// Disconnects it; with `close`, its whole session.
    pub fn disconnect(&self, close: bool) {
        match self {
            Self::Local(socket) if close => socket.close(),
            Self::Local(socket) => {
                socket.disconnect();
            }
            Self::Remote(socket) => socket.operator().disconnect_sockets(close),
        }
    }
}

/// A socket on another node.
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    namespace: Namespace,
    description: Arc<SocketDescription>,
}

impl RemoteSocket {
    pub(crate) fn new(namespace: Namespace, description: SocketDescription) -> Self {
        Self { namespace, description: Arc::new(description) }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.description.id
    }

    /// What its node told about it.
    pub fn description(&self) -> &SocketDescription {
        &self.description
    }

    /// The operator for this one socket.
    pub fn operator(&self) -> Operator {
        Operator::new(self.namespace.clone()).to(&self.description.id)
    }

    /// Sends it an event.
    ///
    /// # Errors
    /// When the arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.operator().emit(name, args)
    }

    /// Sends it an event and waits for its answer.
    ///
    /// # Errors
    /// When it could not be sent, or no answer came in time.
    pub async fn call<R: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
        args: impl Serialize,
        timeout: Duration,
    ) -> Result<R, CallError> {
        let answers = self.operator().timeout(timeout).single().call::<R>(name, args).await;
        if let Some(error) = answers.error {
            return Err(error.into());
        }
        match answers.answers.into_iter().next() {
            Some((_, answer)) => answer.map_err(CallError::Answer),
            None => Err(CallError::TimedOut),
        }
    }
}
