//! Events that are answered to their sender: in a closed loop the next follows an answer, in an open loop a schedule.

use std::time::Duration;

use super::super::driver::{Field, Scenario, Turn};
use super::super::pace::{Rate, Schedule};
use super::super::shared::Phase;
use super::super::words::Stamp;
use super::{FIRST_ID, MOST_IN_FLIGHT};

pub(crate) struct Echo {
    event: Stamp,
    in_flight: usize,
    open: Option<Open>,
}

/// An open loop.
struct Open {
    rate: Rate,
    over: Duration,
    turn: (usize, usize),
    schedule: Option<Schedule>,
    next: usize,
    /// Every connection has as many events in flight as it may: what is late now is late by the server's doing.
    is_blocked: bool,
}

/// A connection's events in flight: when each was due, by its number; 0 for none.
#[derive(Default)]
pub(crate) struct InFlight {
    due: Vec<u64>,
    free: Vec<usize>,
}

impl InFlight {
    fn take(&mut self, most: usize) -> Option<usize> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        if self.due.len() >= most {
            return None;
        }
        self.due.push(0);
        Some(self.due.len() - 1)
    }
}

impl Echo {
    /// A closed loop of so many events in flight on each connection.
    pub(crate) fn closed(event: Stamp, in_flight: usize) -> Self {
        Self { event, in_flight: in_flight.min(MOST_IN_FLIGHT), open: None }
    }

    /// An open loop; `turn`: which of how many threads this is.
    pub(crate) fn open(
        event: Stamp,
        in_flight: usize,
        rate: Rate,
        over: Duration,
        turn: (usize, usize),
    ) -> Self {
        let open = Open { rate, over, turn, schedule: None, next: 0, is_blocked: false };
        Self { event, in_flight: in_flight.min(MOST_IN_FLIGHT), open: Some(open) }
    }

    fn send(&self, field: &mut Field<InFlight>, index: usize, due: u64) -> bool {
        if !field.is_ready(index) {
            return false;
        }
        let Some(place) = field.slots[index].seat.take(self.in_flight) else { return false };
        field.slots[index].seat.due[place] = due;
        field.send(index, |out| self.event.write(FIRST_ID + place as u64, out))
    }
}

impl Scenario for Echo {
    type Seat = InFlight;

    fn ready(&mut self, turn: &mut Turn<'_, InFlight>) {
        turn.up();
    }

    fn answered(&mut self, turn: &mut Turn<'_, InFlight>, number: u64) {
        let place = number.wrapping_sub(FIRST_ID) as usize;
        let sent = match turn.seat.due.get_mut(place) {
            Some(due) if *due != 0 => std::mem::take(due),
            _ => return turn.fail("an answer came twice"),
        };
        turn.tally.answer(turn.now.saturating_sub(sent), turn.now);
        if self.open.is_some() || turn.phase > Phase::Measure {
            turn.seat.free.push(place);
            return;
        }
        turn.seat.due[place] = turn.now;
        self.event.write(number, &mut turn.line.out);
    }

    fn entered(&mut self, field: &mut Field<InFlight>, phase: Phase) {
        let now = field.shared.now();
        match (&mut self.open, phase) {
            (Some(open), Phase::Warmup) => {
                open.schedule = Some(Schedule::new(open.rate.start(), open.over, now, open.turn));
            }
            (Some(open), Phase::Measure) => {
                open.schedule = Some(Schedule::new(open.rate, open.over, now, open.turn));
            }
            (Some(open), _) => open.schedule = None,
            (None, Phase::Warmup) => {
                for index in 0..field.slots.len() {
                    for _ in 0..self.in_flight {
                        self.send(field, index, now);
                    }
                }
            }
            (None, _) => {}
        }
    }

    fn due(&mut self, field: &mut Field<InFlight>, now: u64) -> Option<u64> {
        let mut open = self.open.take()?;
        let next = loop {
            let Some(due) = open.schedule.as_ref().map(Schedule::due) else { break None };
            if due > now {
                break Some(due);
            }
            let count = field.slots.len();
            let free =
                (0..count).map(|step| (open.next + step) % count).find(|&index| self.send(field, index, due));
            let Some(index) = free else {
                // Asked again after the next answer.
                open.is_blocked = true;
                field.tally.extra("held_back", 1);
                break None;
            };
            if !open.is_blocked {
                field.tally.lag(now.saturating_sub(due));
            }
            open.is_blocked = false;
            open.next = index + 1;
            if let Some(schedule) = &mut open.schedule {
                schedule.advance();
            }
        };
        self.open = Some(open);
        next
    }
}
