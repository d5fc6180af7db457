//! What clients do. One file per kind of load; the driver below knows how.

mod churn;
mod echo;
mod fanout;
mod idle;
mod rooms;
mod storm;

pub(super) use churn::Churn;
pub(super) use echo::Echo;
pub(super) use fanout::{Board, Fanout};
pub(super) use idle::{Connect, Idle};
pub(super) use rooms::{RoomWords, Rooms};
pub(super) use storm::Storm;

/// The number of an echo's first place; ids thus have the same width.
pub(super) const FIRST_ID: u64 = 1000;
/// As many numbers of that width as there are.
pub(super) const MOST_IN_FLIGHT: usize = 9000;
