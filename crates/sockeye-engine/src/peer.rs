//! The other end of a connection, as far as the host of the engine knows it.

use std::net::SocketAddr;

/// Where a request came from. A host other than our own [`serve`](crate::serve) passes what it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address of the connection's other end. `None` on a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The address it connected to.
    pub local: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

impl Peer {
    /// An unencrypted connection from `remote`.
    pub fn new(remote: SocketAddr) -> Self {
        Peer { remote: Some(remote), ..Self::default() }
    }
}
