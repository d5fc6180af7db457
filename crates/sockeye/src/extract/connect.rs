//! Extractors for what is there only when a socket comes or goes.

use std::fmt;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use sockeye_engine::Reason;

use super::{FromConnect, FromDisconnect, Mismatch};
use crate::handler::{ConnectCall, DisconnectCall};

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

impl<T: DeserializeOwned + Send + 'static> FromConnect for Auth<T> {
    fn from_connect(call: &mut ConnectCall<'_>) -> Result<Self, Mismatch> {
        serde_json::from_str(call.auth_json())
            .map(Auth)
            .map_err(|error| Mismatch::payload::<T>(0, &error.to_string()))
    }
}

impl FromDisconnect for Reason {
    fn from_disconnect(call: &mut DisconnectCall<'_>) -> Result<Self, Mismatch> {
        Ok(call.reason().clone())
    }
}
