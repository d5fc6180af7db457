//! [`State`]: whether a bus is up.

use std::sync::Arc;
use std::time::SystemTime;

/// Whether a bus is up. Servers deliver to their own clients in every state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum State {
    /// It has not been up yet.
    #[default]
    Connecting,
    /// Messages are carried, and everything that is open is subscribed to.
    Up,
    /// The connection is lost; the bus tries to get it back.
    Down {
        /// Since when.
        since: SystemTime,
        /// Why, in words for an operator. Holds no password.
        cause: Arc<str>,
    },
    /// It was shut down.
    Closed,
}

impl State {
    /// Down from now on.
    pub fn down(cause: impl Into<Arc<str>>) -> Self {
        Self::Down { since: SystemTime::now(), cause: cause.into() }
    }

    /// Whether messages are carried.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}
