//! One packet for many receivers, encoded once per dialect.

use std::sync::Arc;

use crate::socket::{Dialect, EncodeError, Encoded, Payload};

/// An event on its way to many sockets.
///
/// Share it in an `Arc`. Each dialect is encoded by whoever asks for it first, and kept; everybody else gets the
/// same bytes, frame header included.
#[derive(Debug)]
pub struct Broadcast {
    namespace: Arc<str>,
    payload: Payload,
    compress: bool,
}

impl Broadcast {
    /// A broadcast of an event in a namespace. `compress` is the flag of that name: whether a transport may
    /// compress it.
    pub fn new(namespace: Arc<str>, payload: Payload, compress: bool) -> Broadcast {
        Broadcast { namespace, payload, compress }
    }

    /// The messages for a receiver.
    ///
    /// # Errors
    /// Only a custom parser refuses a packet; it is asked once.
    pub fn encoded(&self, dialect: &Dialect) -> Result<&Encoded, &EncodeError> {
        todo!("{dialect:?}{}{:?}", self.compress, self.namespace)
    }

    /// The event.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}
