//! Everybody is cut off at once and comes back: how long until each is in again. Who is refused tries again, as real
//! clients do.

use std::time::Duration;

use super::super::driver::{Field, Scenario, Turn};
use super::super::shared::Phase;

pub(crate) struct Storm {
    /// Over which time the clients come back.
    spread: Duration,
    /// When each was cut off, or due to come back.
    since: Vec<u64>,
    back: usize,
    is_on: bool,
}

impl Storm {
    pub(crate) fn new(spread: Duration) -> Self {
        Self { spread, since: Vec::new(), back: 0, is_on: false }
    }
}

impl Scenario for Storm {
    type Seat = ();

    fn ready(&mut self, turn: &mut Turn<'_, ()>) {
        if !self.is_on {
            turn.up();
            return;
        }
        let since = self.since.get(turn.index).copied().unwrap_or(turn.line.due);
        turn.tally.answer(turn.now.saturating_sub(since), turn.now);
        self.back += 1;
    }

    fn answered(&mut self, _: &mut Turn<'_, ()>, _: u64) {}

    fn closed(&mut self, field: &mut Field<()>, index: usize, why: Option<String>) {
        if !self.is_on {
            if let Some(why) = why {
                field.fail(why);
            }
            return;
        }
        let due = match why {
            None => self.since.get(index).copied().unwrap_or_default(),
            Some(why) => {
                field.tally.fault(why);
                field.tally.extra("retries", 1);
                // Not all at once again: between 100 and 300 ms, by place.
                field.shared.now() + 100_000_000 + (index as u64 % 200) * 1_000_000
            }
        };
        field.open(index, due);
    }

    fn entered(&mut self, field: &mut Field<()>, phase: Phase) {
        if phase != Phase::Measure {
            self.is_on = false;
            return;
        }
        self.is_on = true;
        let now = field.shared.now();
        let count = field.slots.len().max(1) as u64;
        let spread = self.spread.as_nanos() as u64;
        self.since = (0..count).map(|index| now + spread * index / count).collect();
        for index in 0..field.slots.len() {
            match field.slots[index].line {
                Some(_) => field.cut(index),
                None => field.open(index, self.since[index]),
            }
        }
    }

    fn due(&mut self, field: &mut Field<()>, _: u64) -> Option<u64> {
        if self.is_on && self.back >= field.slots.len() {
            field.finish();
        }
        None
    }
}
