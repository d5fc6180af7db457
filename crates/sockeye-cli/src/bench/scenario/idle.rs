//! Connections that come and stay: `connect` measures how they come, `idle` what they cost once they are there.

use super::super::driver::{Field, Scenario, Turn};

/// Finishes when every connection has come or failed.
pub(crate) struct Connect;

impl Scenario for Connect {
    type Seat = ();

    fn ready(&mut self, turn: &mut Turn<'_, ()>) {
        let took = turn.now.saturating_sub(turn.line.due);
        turn.tally.answer(took, turn.now);
        turn.up();
    }

    fn answered(&mut self, _: &mut Turn<'_, ()>, _: u64) {}
}

/// Answers heartbeats, which the driver does.
pub(crate) struct Idle;

impl Scenario for Idle {
    type Seat = ();

    fn ready(&mut self, turn: &mut Turn<'_, ()>) {
        turn.up();
    }

    fn answered(&mut self, _: &mut Turn<'_, ()>, _: u64) {}

    fn due(&mut self, field: &mut Field<()>, _: u64) -> Option<u64> {
        field.tally.done = field.tally.extras.get("heartbeats").copied().unwrap_or_default();
        None
    }
}
