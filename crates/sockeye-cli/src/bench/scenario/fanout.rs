//! One publishes, all receive: `broadcast`, and with clients that do not read `slow-consumer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::super::driver::{Field, Scenario, Turn};
use super::super::pace::{Rate, Schedule};
use super::super::shared::Phase;
use super::super::words::Stamp;

/// More broadcasts than this are never under way.
const MOST: usize = 4096;

/// Who has received what, among the connections of one thread and one audience.
///
/// Broadcasts are numbered, and a connection gets them in order; so all of them have come to their end up to the
/// first that somebody still waits for.
#[derive(Default)]
pub(crate) struct Roll {
    members: u32,
    /// Members that are gone count as if they had received everything.
    gone: u32,
    /// The first broadcast that is not with everybody.
    first: u64,
    received: Vec<u32>,
}

impl Roll {
    pub(crate) fn new(members: usize, most: usize) -> Self {
        Self { members: members as u32, gone: 0, first: 0, received: vec![0; most.next_power_of_two()] }
    }

    /// A connection that had received everything before `next` has received everything up to `number`.
    /// Calls `whole` for each broadcast that is with everybody now.
    pub(crate) fn received(&mut self, next: u64, number: u64, whole: impl FnMut(u64)) {
        let mask = self.received.len() as u64 - 1;
        for number in next.max(self.first)..=number {
            self.received[(number & mask) as usize] += 1;
        }
        self.settle(number + 1, whole);
    }

    /// A connection that had received everything before `next` is gone; `published`: the next broadcast's number.
    pub(crate) fn lost(&mut self, next: u64, published: u64, whole: impl FnMut(u64)) {
        self.gone += 1;
        let mask = self.received.len() as u64 - 1;
        for number in next.max(self.first)..self.first + self.received.len() as u64 {
            self.received[(number & mask) as usize] += 1;
        }
        self.settle(published, whole);
    }

    /// The first broadcast that is not with everybody.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    fn settle(&mut self, end: u64, mut whole: impl FnMut(u64)) {
        let mask = self.received.len() as u64 - 1;
        while self.first < end {
            let received = &mut self.received[(self.first & mask) as usize];
            if *received < self.members {
                return;
            }
            *received = self.gone;
            whole(self.first);
            self.first += 1;
        }
    }
}

/// The broadcasts under way, for all threads.
pub(crate) struct Board {
    /// The number of the next one.
    published: AtomicU64,
    /// The first that is not with everybody.
    ended: AtomicU64,
    /// When each was due.
    due: Box<[AtomicU64]>,
    /// How many threads wait for it still.
    waiting: Box<[AtomicU32]>,
    threads: u32,
    /// Threads that are ready to receive.
    prepared: AtomicU32,
}

impl Board {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            published: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            due: (0..MOST).map(|_| AtomicU64::new(0)).collect(),
            waiting: (0..MOST).map(|_| AtomicU32::new(0)).collect(),
            threads: threads as u32,
            prepared: AtomicU32::new(0),
        }
    }

    fn place(number: u64) -> usize {
        (number % MOST as u64) as usize
    }

    fn due(&self, number: u64) -> u64 {
        self.due[Self::place(number)].load(Ordering::Acquire)
    }

    fn publish(&self, due: u64) -> u64 {
        let number = self.published.load(Ordering::Relaxed);
        self.due[Self::place(number)].store(due, Ordering::Release);
        self.waiting[Self::place(number)].store(self.threads, Ordering::Release);
        self.published.store(number + 1, Ordering::Release);
        number
    }

    /// A thread has it on all its connections. `true`: it was the last thread.
    fn is_whole(&self, number: u64) -> bool {
        let last = self.waiting[Self::place(number)].fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.ended.fetch_add(1, Ordering::AcqRel);
        }
        last
    }
}

pub(crate) struct Fanout {
    event: Stamp,
    board: Arc<Board>,
    thread: usize,
    in_flight: u64,
    open: Option<(Rate, Duration)>,
    schedule: Option<Schedule>,
    roll: Roll,
    is_blocked: bool,
    /// The load is on.
    is_on: bool,
    /// Places from this one on are slow.
    slow_from: usize,
}

/// What a connection has received.
#[derive(Default)]
pub(crate) struct Reading {
    next: u64,
    /// A slow connection's messages, which it reads in the end.
    slow_received: u64,
}

impl Fanout {
    /// The first connection of the first thread publishes; `in_flight` broadcasts are under way in a closed loop, or
    /// as many as the `rate` asks for.
    pub(crate) fn new(
        event: Stamp,
        board: Arc<Board>,
        thread: usize,
        in_flight: usize,
        open: Option<(Rate, Duration)>,
        slow_from: usize,
    ) -> Self {
        let in_flight = if open.is_some() { MOST } else { in_flight.min(MOST) } as u64;
        Self {
            event,
            board,
            thread,
            in_flight,
            open,
            schedule: None,
            roll: Roll::default(),
            is_blocked: false,
            is_on: false,
            slow_from,
        }
    }

    fn publish(&self, field: &mut Field<Reading>, due: u64) -> bool {
        let board = &self.board;
        if !field.is_ready(0) || board.prepared.load(Ordering::Acquire) < board.threads {
            return false;
        }
        let under_way =
            board.published.load(Ordering::Relaxed).saturating_sub(board.ended.load(Ordering::Acquire));
        if under_way >= self.in_flight {
            return false;
        }
        let number = board.publish(due);
        field.tally.extra("broadcasts", 1);
        field.send(0, |out| self.event.write(number, out))
    }
}

impl Scenario for Fanout {
    type Seat = Reading;

    fn ready(&mut self, turn: &mut Turn<'_, Reading>) {
        turn.up();
    }

    fn answered(&mut self, turn: &mut Turn<'_, Reading>, number: u64) {
        if turn.index >= self.slow_from {
            turn.seat.slow_received += 1;
            return;
        }
        // A probe's broadcast, or somebody else's.
        if number >= self.board.published.load(Ordering::Acquire) {
            return turn.tally.extra("other_packets", 1);
        }
        if number < turn.seat.next {
            return turn.tally.extra("repeated", 1);
        }
        if number > turn.seat.next {
            turn.tally.extra("lost", number - turn.seat.next);
        }
        turn.tally.answer(turn.now.saturating_sub(self.board.due(number)), turn.now);
        let next = std::mem::replace(&mut turn.seat.next, number + 1);
        let mut wake = false;
        self.roll.received(next, number, |whole| {
            // Read before it is given free: its place may be used again from then on.
            let due = self.board.due(whole);
            if self.board.is_whole(whole) {
                turn.tally.last(turn.now.saturating_sub(due));
                wake = true;
            }
        });
        if wake && self.thread != 0 {
            turn.wake(0);
        }
    }

    fn closed(&mut self, field: &mut Field<Reading>, index: usize, why: Option<String>) {
        if index >= self.slow_from {
            if why.is_some() && self.is_on {
                field.tally.extra("slow_closed", 1);
            }
            return;
        }
        field.fail(why.unwrap_or_default());
        if self.is_on {
            let next = field.slots[index].seat.next;
            let published = self.board.published.load(Ordering::Acquire);
            self.roll.lost(next, published, |whole| {
                self.board.is_whole(whole);
            });
            field.shared.wake(0);
        }
    }

    fn entered(&mut self, field: &mut Field<Reading>, phase: Phase) {
        let now = field.shared.now();
        match phase {
            Phase::Warmup => {
                let readers = self.slow_from.min(field.slots.len());
                let members = (0..readers).filter(|&index| field.is_ready(index)).count();
                self.roll = Roll::new(members, MOST);
                self.is_on = true;
                self.board.prepared.fetch_add(1, Ordering::AcqRel);
                field.shared.wake(0);
                self.schedule = self.open.map(|(rate, over)| Schedule::new(rate.start(), over, now, (0, 1)));
            }
            Phase::Measure => {
                self.schedule = self.open.map(|(rate, over)| Schedule::new(rate, over, now, (0, 1)));
            }
            Phase::Drain => {
                for index in self.slow_from..field.slots.len() {
                    field.unmute(index);
                }
            }
            Phase::Ramp | Phase::Stop => {
                let slow = field.slots.get(self.slow_from..).unwrap_or_default();
                let (open, received) = slow.iter().fold((0, 0), |(open, received), slot| {
                    (open + u64::from(slot.line.is_some()), received + slot.seat.slow_received)
                });
                if !slow.is_empty() {
                    field.tally.extra("slow_open", open);
                    field.tally.extra("slow_received", received);
                }
            }
        }
    }

    fn due(&mut self, field: &mut Field<Reading>, now: u64) -> Option<u64> {
        if self.thread != 0 || !self.is_on || field.phase > Phase::Measure {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(act: impl FnOnce(&mut dyn FnMut(u64))) -> Vec<u64> {
        let mut ended = Vec::new();
        act(&mut |number| ended.push(number));
        ended
    }

    #[test]
    fn a_broadcast_ends_with_its_last_receiver() {
        let mut roll = Roll::new(2, 4);
        assert!(whole(|end| roll.received(0, 0, end)).is_empty());
        assert!(whole(|end| roll.received(1, 1, end)).is_empty());
        assert_eq!(whole(|end| roll.received(0, 0, end)), [0]);
        assert_eq!(whole(|end| roll.received(1, 1, end)), [1]);
    }

    #[test]
    fn who_is_gone_is_not_waited_for() {
        let mut roll = Roll::new(3, 4);
        roll.received(0, 0, |_| ());
        roll.received(0, 0, |_| ());
        assert_eq!(whole(|end| roll.lost(0, 1, end)), [0]);
        for number in 1..20 {
            assert!(whole(|end| roll.received(number, number, end)).is_empty());
            assert_eq!(whole(|end| roll.received(number, number, end)), [number]);
        }
    }

    #[test]
    fn a_gap_ends_what_was_left_out() {
        let mut roll = Roll::new(1, 8);
        assert_eq!(whole(|end| roll.received(0, 2, end)), [0, 1, 2]);
    }

    #[test]
    fn nobody_is_waited_for_where_nobody_is() {
        let mut roll = Roll::new(1, 4);
        assert_eq!(whole(|end| roll.lost(0, 2, end)), [0, 1]);
    }
}
