//! What can go wrong between servers, and who is missing.

use std::fmt;
use std::sync::Arc;

use sockeye_proto::cluster::Unsayable;
use sockeye_proto::socket::EncodeError;

/// Why a bus did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Too much waits to be sent already.
    #[error("too much waits to be sent")]
    Full,
    /// The connection is lost, for this reason.
    #[error("the bus is down: {0}")]
    Down(Arc<str>),
    /// The bus was shut down.
    #[error("the bus is closed")]
    Closed,
    /// This kind of bus has no such message.
    #[error("this kind of bus has no such message")]
    Unsayable,
    /// A namespace with this name cannot be carried.
    #[error("a namespace with this name cannot be carried")]
    Name,
    /// Whatever else went wrong, in words for an operator.
    #[error("{0}")]
    Other(Arc<str>),
}

impl BusError {
    /// An error in the bus's own words. They must not hold a password.
    pub fn other(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string().into())
    }
}

impl From<Unsayable> for BusError {
    fn from(_: Unsayable) -> Self {
        Self::Unsayable
    }
}

/// Why a cluster did not do, or not in full, what it was asked to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Not all servers answered in time.
    #[error("timeout reached: {0}")]
    Silent(Missing),
    /// The bus could not carry the question.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The arguments cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Servers that did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// How many.
    pub count: usize,
    /// Their names on the bus, where it is known who they are; else none.
    pub names: Vec<Arc<str>>,
}

impl Missing {
    /// So many, and who they are if that is known.
    pub fn new(count: usize, names: Vec<Arc<str>>) -> Self {
        Self { count, names }
    }

    /// Whether nobody is missing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing {} responses", self.count)?;
        if !self.names.is_empty() {
            write!(f, ", of {}", self.names.join(", "))?;
        }
        Ok(())
    }
}

/// Something was gathered from several servers and is not whole. What came is in here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Incomplete<T> {
    /// What came.
    pub partial: T,
    /// Why it is not all.
    pub error: ClusterError,
}

impl<T> Incomplete<T> {
    /// What came, and why it is not all.
    pub fn new(partial: T, error: impl Into<ClusterError>) -> Self {
        Self { partial, error: error.into() }
    }

    /// What came, for whom that is enough: `fetch_sockets().await.unwrap_or_else(Incomplete::into_partial)`.
    pub fn into_partial(self) -> T {
        self.partial
    }

    /// The servers that did not answer in time. None if the question could not be asked at all.
    pub fn missing(&self) -> Option<&Missing> {
        match &self.error {
            ClusterError::Silent(missing) => Some(missing),
            _ => None,
        }
    }

    /// The same error with something else made of what came.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Incomplete<U> {
        Incomplete { partial: change(self.partial), error: self.error }
    }
}

impl<T> fmt::Display for Incomplete<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for Incomplete<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
