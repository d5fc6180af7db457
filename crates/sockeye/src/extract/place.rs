//! Extractors that work everywhere: who, where, and what the application left there.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sockeye_engine::{Handshake, Reason};

use super::{FromConnect, FromDisconnect, FromEvent, Mismatch, MismatchKind};
use crate::handler::{Call, ConnectCall, DisconnectCall};
use crate::namespace::Namespace;
use crate::server::Server;
use crate::socket::Socket;
use crate::state::{Needs, State, States};

/// What the application put into this socket's data, by type. A mismatch where nothing was put.
///
/// ```
/// use sockeye::{Auth, Refusal, Socket, SocketData};
///
/// struct User { name: String }
///
/// async fn enter(socket: Socket, Auth(name): Auth<String>) -> Result<(), Refusal> {
///     socket.set_data(User { name });
///     Ok(())
/// }
///
/// async fn say(user: SocketData<User>) -> String {
///     format!("hello {}", user.name)
/// }
/// ```
pub struct SocketData<T>(pub Arc<T>);

impl<T> Deref for SocketData<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for SocketData<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for SocketData<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketData").field(&*self.0).finish()
    }
}

/// What the client sent with its CONNECT (`auth` in the JavaScript client), read as a `T`; `{}` when it sent nothing.
///
/// Keeps its secret: `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T> Deref for Auth<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Auth<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}

/// Gives the same extractor to all three kinds of functions.
macro_rules! everywhere {
    ($([$($generics:tt)*] $type:ty, |$socket:ident, $states:ident| $take:expr $(, |$needs:ident| $need:expr)?;)*) => {$(
        everywhere!(@ FromEvent from_event Call [$($generics)*] $type, $socket, $states, $take $(, $needs, $need)?);
        everywhere!(@ FromConnect from_connect ConnectCall [$($generics)*] $type, $socket, $states, $take $(, $needs, $need)?);
        everywhere!(@ FromDisconnect from_disconnect DisconnectCall [$($generics)*] $type, $socket, $states, $take $(, $needs, $need)?);
    )*};
    (@ $trait:ident $method:ident $call:ident [$($generics:tt)*] $type:ty, $socket:ident, $states:ident, $take:expr $(, $needs:ident, $need:expr)?) => {
        impl<$($generics)*> $trait for $type {
            fn $method(call: &mut $call<'_>) -> Result<Self, Mismatch> {
                #[allow(unused_variables)]
                let ($socket, $states): (&Socket, &States) = (call.socket(), call.states());
                $take
            }
            $(fn needs($needs: &mut Needs) {
                $need
            })?
        }
    };
}

everywhere! {
    [] Socket, |socket, states| Ok(socket.clone());
    [] Server, |socket, states| Ok(socket.server().clone());
    [] Namespace, |socket, states| Ok(socket.namespace().clone());
    [] Arc<Handshake>, |socket, states| Ok(Arc::clone(socket.handshake()));
    [T: DeserializeOwned + Send + 'static] Auth<T>, |socket, states|
        serde_json::from_str(socket.auth_json())
            .map(Auth)
            .map_err(|error| Mismatch::payload::<T>(0, &error.to_string()));
    [T: Send + Sync + 'static] SocketData<T>, |socket, states|
        socket.data::<T>().map(SocketData).ok_or_else(|| Mismatch::new::<T>(MismatchKind::NoSocketData));
    [T: Send + Sync + 'static] State<T>, |socket, states|
        states.find::<T>().map(State).ok_or_else(|| Mismatch::new::<T>(MismatchKind::NoState)),
        |needs| needs.state::<T>();
}

impl FromDisconnect for Reason {
    fn from_disconnect(call: &mut DisconnectCall<'_>) -> Result<Self, Mismatch> {
        Ok(call.reason().clone())
    }
}
