//! Connect, one echo, leave, again. A connection counts when the server has hung up; its latency ends at the echo.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::driver::{Field, Scenario, Turn};
use super::super::pace::{Rate, Schedule};
use super::super::shared::Phase;
use super::super::words::Stamp;
use super::FIRST_ID;

pub(crate) struct Churn {
    event: Stamp,
    open: Option<Open>,
    /// Whether the places have begun to be used over and over.
    is_on: bool,
}

struct Open {
    rate: Rate,
    over: Duration,
    turn: (usize, usize),
    schedule: Option<Schedule>,
    /// Places without a connection.
    free: VecDeque<usize>,
}

impl Churn {
    /// Every place connects anew as soon as its connection is gone; with a `rate`, when the schedule says.
    pub(crate) fn new(event: Stamp, rate: Option<(Rate, Duration)>, turn: (usize, usize)) -> Self {
        let open = rate.map(|(rate, over)| Open { rate, over, turn, schedule: None, free: VecDeque::new() });
        Self { event, open, is_on: false }
    }
}

impl Scenario for Churn {
    type Seat = ();

    fn ready(&mut self, turn: &mut Turn<'_, ()>) {
        self.event.write(FIRST_ID, &mut turn.line.out);
    }

    fn answered(&mut self, turn: &mut Turn<'_, ()>, _: u64) {
        let took = turn.now.saturating_sub(turn.line.due);
        turn.tally.answer(took, turn.now);
        turn.leave();
    }

    fn closed(&mut self, field: &mut Field<()>, index: usize, why: Option<String>) {
        let failed = why.is_some();
        if let Some(why) = why {
            field.fail(why);
        }
        match &mut self.open {
            Some(open) => open.free.push_back(index),
            // After a failure a little later, so that a server that refuses is not called in a busy loop.
            None if self.is_on => {
                let now = field.shared.now();
                field.open(index, if failed { now + 100_000_000 } else { now });
            }
            None => {}
        }
    }

    fn entered(&mut self, field: &mut Field<()>, phase: Phase) {
        let now = field.shared.now();
        self.is_on = phase <= Phase::Measure;
        match (&mut self.open, phase) {
            (None, Phase::Warmup) => (0..field.slots.len()).for_each(|index| field.open(index, now)),
            (Some(open), Phase::Warmup) => {
                open.free = (0..field.slots.len()).collect();
                open.schedule = Some(Schedule::new(open.rate.start(), open.over, now, open.turn));
            }
            (Some(open), Phase::Measure) => {
                open.schedule = Some(Schedule::new(open.rate, open.over, now, open.turn));
            }
            (Some(open), _) => open.schedule = None,
            (None, _) => {}
        }
    }

    fn due(&mut self, field: &mut Field<()>, now: u64) -> Option<u64> {
        let open = self.open.as_mut()?;
        loop {
            let schedule = open.schedule.as_mut()?;
            let due = schedule.due();
            if due > now {
                return Some(due);
            }
            let Some(index) = open.free.pop_front() else {
                field.tally.extra("held_back", 1);
                return None;
            };
            schedule.advance();
            field.tally.lag(now.saturating_sub(due));
            field.open(index, due);
        }
    }
}
