//! Many rooms of a few members; the first member of each publishes to it, rooms in turn. A room lives in one thread.

use std::time::Duration;

use super::super::driver::{Field, Scenario, Turn};
use super::super::pace::{Rate, Schedule};
use super::super::shared::Phase;
use super::super::words::{self, Stamp};
use super::fanout::Roll;

/// More broadcasts than this are never under way in one room.
const MOST: usize = 64;

pub(crate) struct Rooms {
    members: usize,
    rooms: Vec<Room>,
    /// The answer to a join begins so.
    joined: String,
    in_flight: usize,
    under_way: usize,
    next: usize,
    open: Option<(Rate, Duration)>,
    turn: (usize, usize),
    schedule: Option<Schedule>,
    is_blocked: bool,
    is_on: bool,
}

struct Room {
    join: Vec<u8>,
    event: Stamp,
    published: u64,
    due: Vec<u64>,
    roll: Roll,
}

/// How a room is spoken to.
pub(crate) struct RoomWords {
    pub(crate) join: String,
    pub(crate) event: Stamp,
}

/// What a connection has received.
#[derive(Default)]
pub(crate) struct Reading {
    next: u64,
}

impl Rooms {
    /// `rooms` of this thread, each of so many members; `in_flight` broadcasts under way in all of them together.
    pub(crate) fn new(
        rooms: impl Iterator<Item = RoomWords>,
        members: usize,
        joined: String,
        in_flight: usize,
        open: Option<(Rate, Duration)>,
        turn: (usize, usize),
    ) -> Self {
        let rooms: Vec<Room> = rooms
            .map(|room| Room {
                join: words::text(&room.join),
                event: room.event,
                published: 0,
                due: vec![0; MOST],
                roll: Roll::default(),
            })
            .collect();
        let in_flight = if open.is_some() { usize::MAX } else { in_flight };
        Self {
            members,
            rooms,
            joined,
            in_flight,
            under_way: 0,
            next: 0,
            open,
            turn,
            schedule: None,
            is_blocked: false,
            is_on: false,
        }
    }

    fn publish(&mut self, field: &mut Field<Reading>, due: u64) -> bool {
        if self.under_way >= self.in_flight || self.rooms.is_empty() {
            return false;
        }
        let count = self.rooms.len();
        let free = (0..count).map(|step| (self.next + step) % count).find(|&at| {
            let room = &self.rooms[at];
            room.published - room.roll.first() < MOST as u64 && field.is_ready(at * self.members)
        });
        let Some(at) = free else { return false };
        self.next = at + 1;
        self.under_way += 1;
        let room = &mut self.rooms[at];
        let number = room.published;
        room.published += 1;
        room.due[number as usize % MOST] = due;
        field.tally.extra("broadcasts", 1);
        field.send(at * self.members, |out| room.event.write(number, out))
    }
}

impl Scenario for Rooms {
    type Seat = Reading;

    fn ready(&mut self, turn: &mut Turn<'_, Reading>) {
        if let Some(room) = self.rooms.get(turn.index / self.members) {
            turn.line.out.extend_from_slice(&room.join);
        }
    }

    fn packet(&mut self, turn: &mut Turn<'_, Reading>, packet: &str) {
        match packet.starts_with(&self.joined) {
            true => turn.up(),
            false => turn.tally.extra("other_packets", 1),
        }
    }

    fn answered(&mut self, turn: &mut Turn<'_, Reading>, number: u64) {
        let Some(room) = self.rooms.get_mut(turn.index / self.members) else { return };
        if number >= room.published {
            return turn.tally.extra("other_packets", 1);
        }
        if number < turn.seat.next {
            return turn.tally.extra("repeated", 1);
        }
        if number > turn.seat.next {
            turn.tally.extra("lost", number - turn.seat.next);
        }
        let due = room.due[number as usize % MOST];
        turn.tally.answer(turn.now.saturating_sub(due), turn.now);
        let next = std::mem::replace(&mut turn.seat.next, number + 1);
        room.roll.received(next, number, |whole| {
            let due = room.due[whole as usize % MOST];
            turn.tally.last(turn.now.saturating_sub(due));
            self.under_way = self.under_way.saturating_sub(1);
        });
    }

    fn closed(&mut self, field: &mut Field<Reading>, index: usize, why: Option<String>) {
        field.fail(why.unwrap_or_default());
        let next = field.slots[index].seat.next;
        if self.is_on
            && let Some(room) = self.rooms.get_mut(index / self.members)
        {
            room.roll.lost(next, room.published, |_| self.under_way = self.under_way.saturating_sub(1));
        }
    }

    fn entered(&mut self, field: &mut Field<Reading>, phase: Phase) {
        let now = field.shared.now();
        self.schedule = match (phase, self.open) {
            (Phase::Warmup, Some((rate, over))) => Some(Schedule::new(rate.start(), over, now, self.turn)),
            (Phase::Measure, Some((rate, over))) => Some(Schedule::new(rate, over, now, self.turn)),
            _ => None,
        };
        if phase == Phase::Warmup {
            self.is_on = true;
            for (at, room) in self.rooms.iter_mut().enumerate() {
                let members = (at * self.members..(at + 1) * self.members).filter(|&i| field.is_ready(i));
                room.roll = Roll::new(members.count(), MOST);
            }
        }
    }

    fn due(&mut self, field: &mut Field<Reading>, now: u64) -> Option<u64> {
        if !self.is_on || field.phase > Phase::Measure {
            return None;
        }
        let Some(mut schedule) = self.schedule.take() else {
            if self.open.is_none() {
                while self.publish(field, now) {}
            }
            return None;
        };
        let next = loop {
            let due = schedule.due();
            if due > now {
                break Some(due);
            }
            if !self.publish(field, due) {
                self.is_blocked = true;
                field.tally.extra("held_back", 1);
                break None;
            }
            if !std::mem::take(&mut self.is_blocked) {
                field.tally.lag(now.saturating_sub(due));
            }
            schedule.advance();
        };
        self.schedule = Some(schedule);
        next
    }
}
