//! One thread of load: one epoll over its connections, and nothing shared but a phase.
//!
//! mio, since it is in the tree (tokio stands on it), and its whole interface is safe; `polling` asks for `unsafe` to
//! register a socket and, in its safe mode, for a system call per event to be told again. mio is edge-triggered, hence
//! one registration for a connection's whole life. A runtime with a task per connection would cost as much as the
//! servers it is to measure.
//!
//! A turn: sleep until something comes or is due; read a connection and hand each message to the scenario, which
//! appends answers to the connection's `out`; write it once. This module must never: look into a payload, allocate
//! for a message that was expected, keep a read buffer for each connection.

mod incoming;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::{Events, Interest, Poll, Token};

use super::answer::Answer;
use super::line::{Line, State};
use super::shared::{Phase, Shared};
use super::stream::Route;
use super::tally::Tally;
use super::timer::Timer;
use super::words::Words;

pub(super) use incoming::shortened;

/// What clients do; the driver knows how.
pub(super) trait Scenario {
    /// What is kept for each connection.
    type Seat: Default;

    /// A connection has entered the namespace. Whoever has nothing to prepare says [`Turn::up`].
    fn ready(&mut self, turn: &mut Turn<'_, Self::Seat>);

    /// The message came that was expected, with this number.
    fn answered(&mut self, turn: &mut Turn<'_, Self::Seat>, number: u64);

    /// Some other packet came.
    fn packet(&mut self, turn: &mut Turn<'_, Self::Seat>, packet: &str) {
        let _ = packet;
        turn.tally.extra("other_packets", 1);
    }

    /// A connection is gone: with `None` because it left, else with the reason.
    fn closed(&mut self, field: &mut Field<Self::Seat>, index: usize, why: Option<String>) {
        let _ = index;
        if let Some(why) = why {
            field.fail(why);
        }
    }

    /// A phase has begun.
    fn entered(&mut self, field: &mut Field<Self::Seat>, phase: Phase) {
        let _ = (field, phase);
    }

    /// Does what is due, and says when the next thing is. Called once a turn.
    fn due(&mut self, field: &mut Field<Self::Seat>, now: u64) -> Option<u64> {
        let _ = (field, now);
        None
    }
}

/// A scenario's view of the connection that something came from.
pub(super) struct Turn<'a, Seat> {
    pub(super) line: &'a mut Line,
    pub(super) seat: &'a mut Seat,
    pub(super) tally: &'a mut Tally,
    pub(super) now: u64,
    pub(super) phase: Phase,
    pub(super) index: usize,
    shared: &'a Shared,
    ends: Option<Ends>,
}

enum Ends {
    Leaves,
    Fails(String),
}

impl<Seat> Turn<'_, Seat> {
    /// The connection is ready for the load.
    pub(super) fn up(&mut self) {
        self.shared.up.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets another thread look at what is due.
    pub(super) fn wake(&self, thread: usize) {
        self.shared.wake(thread);
    }

    /// Says goodbye; [`Scenario::closed`] follows when the server has hung up.
    pub(super) fn leave(&mut self) {
        self.ends = Some(Ends::Leaves);
    }

    /// Gives the connection up.
    pub(super) fn fail(&mut self, why: impl Into<String>) {
        self.ends = Some(Ends::Fails(why.into()));
    }
}

/// A place for a connection, which may be between two of them.
pub(super) struct Slot<Seat> {
    pub(super) line: Option<Line>,
    pub(super) seat: Seat,
    /// Tells the connections of one place apart.
    generation: u32,
}

/// All places of a thread.
pub(super) struct Field<Seat> {
    pub(super) slots: Vec<Slot<Seat>>,
    pub(super) tally: Tally,
    pub(super) shared: Arc<Shared>,
    pub(super) phase: Phase,
    /// Connections to begin, earliest first.
    openings: BinaryHeap<Reverse<(u64, usize)>>,
    under_way: usize,
    dirty: Vec<usize>,
    /// Places whose connection is to be dropped.
    doomed: Vec<usize>,
    /// Places to be read without being asked.
    unread: Vec<usize>,
    is_finished: bool,
}

impl<Seat> Field<Seat> {
    /// Begins a connection at this moment, as soon as few enough are under way.
    pub(super) fn open(&mut self, index: usize, due: u64) {
        self.openings.push(Reverse((due, index)));
    }

    /// Lets `write` append to what a connection says at the end of this turn. `false`: it is not there.
    pub(super) fn send(&mut self, index: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Some(line) = self.slots.get_mut(index).and_then(|slot| slot.line.as_mut()) else { return false };
        if line.state != State::Ready {
            return false;
        }
        if line.out.is_empty() {
            self.dirty.push(index);
        }
        write(&mut line.out);
        true
    }

    /// Drops a connection without a word.
    pub(super) fn cut(&mut self, index: usize) {
        self.doomed.push(index);
    }

    /// Reads a connection that did not read until now.
    pub(super) fn unmute(&mut self, index: usize) {
        if let Some(line) = self.slots.get_mut(index).and_then(|slot| slot.line.as_mut()) {
            line.muted = false;
            self.unread.push(index);
        }
    }

    pub(super) fn is_ready(&self, index: usize) -> bool {
        let line = self.slots.get(index).and_then(|slot| slot.line.as_ref());
        line.is_some_and(|line| line.state == State::Ready)
    }

    /// Counts a connection that failed.
    pub(super) fn fail(&mut self, why: impl Into<String>) {
        self.tally.fault(why);
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is left to do in this thread.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.shared.finished.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How a thread's connections come about.
pub(super) struct Terms {
    /// Where to, in turn.
    pub(super) routes: Vec<(Route, Words)>,
    /// What is expected of the server.
    pub(super) answer: Option<Answer>,
    /// How many connections this thread has, and the number of its first.
    pub(super) count: usize,
    pub(super) first: usize,
    /// How many may be under way at a time.
    pub(super) handshakes: usize,
    /// How long a connection may take to come about.
    pub(super) patience: Duration,
    /// Connections follow a schedule, and count from when they were due.
    pub(super) is_open: bool,
    /// Places from this one on hold clients that ask for small buffers and do not read.
    pub(super) slow_from: usize,
}

pub(super) struct Driver<S: Scenario> {
    field: Field<S::Seat>,
    scenario: S,
    terms: Terms,
    poll: Poll,
    timer: Timer,
    buffer: Vec<u8>,
    /// When which connection must have come about.
    deadlines: VecDeque<(u64, usize, u32)>,
}

/// Wakes a thread that another thread wants something of.
pub(super) const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

impl<S: Scenario> Driver<S> {
    /// `openings`: when each connection is due.
    pub(super) fn new(
        poll: Poll,
        scenario: S,
        terms: Terms,
        shared: Arc<Shared>,
        tally: Tally,
        openings: impl Iterator<Item = u64>,
    ) -> io::Result<Self> {
        let timer = Timer::new(poll.registry(), TIMER)?;
        let slot = || Slot { line: None, seat: S::Seat::default(), generation: 0 };
        let field = Field {
            slots: std::iter::repeat_with(slot).take(terms.count).collect(),
            tally,
            shared,
            phase: Phase::Ramp,
            openings: openings
                .take(terms.count)
                .enumerate()
                .map(|(index, due)| Reverse((due, index)))
                .collect(),
            under_way: 0,
            dirty: Vec::new(),
            doomed: Vec::new(),
            unread: Vec::new(),
            is_finished: false,
        };
        Ok(Self {
            field,
            scenario,
            terms,
            poll,
            timer,
            buffer: vec![0; 256 << 10],
            deadlines: VecDeque::new(),
        })
    }

    /// Until the phase is [`Phase::Stop`].
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        let mut told = 0;
        loop {
            let now = self.field.shared.now();
            let phase = self.field.shared.phase();
            while self.field.phase < phase {
                self.enter(now);
            }
            if phase == Phase::Stop {
                return Ok(self.field.tally);
            }
            let mut next = self.scenario.due(&mut self.field, now);
            // Openings last: what ends here may begin anew.
            self.settle();
            for other in [self.give_up_late(now), self.open_due(now)].into_iter().flatten() {
                next = Some(next.map_or(other, |next| next.min(other)));
            }
            if self.field.tally.done != told {
                self.field.shared.done.fetch_add(self.field.tally.done.wrapping_sub(told), Ordering::Relaxed);
                told = self.field.tally.done;
            }
            let wait = self.timer.until(next, self.field.shared.now())?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() != WAKE && event.token() != TIMER {
                    self.serve(event.token().0, Some(event));
                }
            }
        }
    }

    fn enter(&mut self, now: u64) {
        self.field.phase = match self.field.phase {
            Phase::Ramp => Phase::Warmup,
            Phase::Warmup => Phase::Measure,
            Phase::Measure => Phase::Drain,
            Phase::Drain | Phase::Stop => Phase::Stop,
        };
        if self.field.phase == Phase::Measure {
            self.field.tally.begin(now);
        } else if self.field.phase > Phase::Measure {
            self.field.tally.end();
        }
        let phase = self.field.phase;
        self.scenario.entered(&mut self.field, phase);
    }

    /// Begins the connections that are due; returns when the next one is.
    fn open_due(&mut self, now: u64) -> Option<u64> {
        while let Some(&Reverse((due, index))) = self.field.openings.peek() {
            if self.field.under_way >= self.terms.handshakes {
                return None;
            }
            if due > now {
                return Some(due);
            }
            self.field.openings.pop();
            self.open(index, due, now);
        }
        None
    }

    fn open(&mut self, index: usize, due: u64, now: u64) {
        let number = self.terms.first + index;
        let (route, _) = &self.terms.routes[number % self.terms.routes.len()];
        let slow = index >= self.terms.slow_from;
        // Another source address each time, so that a place that is used over and over does not run out of ports.
        let slot = &mut self.field.slots[index];
        let turn = number.wrapping_add(slot.generation as usize);
        let registered = route.connect(turn, slow).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(stream.socket(), Token(index), interest)?;
            Ok(stream)
        });
        match registered {
            Ok(stream) => {
                slot.line = Some(Line::new(stream, if self.terms.is_open { due } else { now }));
                slot.generation = slot.generation.wrapping_add(1);
                self.field.under_way += 1;
                let deadline = now.saturating_add(self.terms.patience.as_nanos() as u64);
                self.deadlines.push_back((deadline, index, slot.generation));
            }
            Err(error) => self.scenario.closed(&mut self.field, index, Some(format!("connecting: {error}"))),
        }
    }

    /// Gives up connections that did not come about in time; returns when the next one's time is over.
    fn give_up_late(&mut self, now: u64) -> Option<u64> {
        while let Some(&(deadline, index, generation)) = self.deadlines.front() {
            let slot = &self.field.slots[index];
            let pending = slot.generation == generation
                && slot.line.as_ref().is_some_and(|line| line.state != State::Ready);
            if pending && deadline > now {
                return Some(deadline);
            }
            self.deadlines.pop_front();
            if pending && let Some(line) = &slot.line {
                let why = format!("waited too long for {}", line.state.waiting_for());
                self.close(index, Some(why));
            }
        }
        None
    }

    /// The end of a turn for connections that did not speak themselves.
    fn settle(&mut self) {
        while let Some(index) = self.field.doomed.pop() {
            if self.field.slots[index].line.is_some() {
                self.close(index, None);
            }
        }
        while let Some(index) = self.field.unread.pop() {
            self.serve(index, None);
        }
        while let Some(index) = self.field.dirty.pop() {
            let Some(line) = &mut self.field.slots[index].line else { continue };
            if let Err(error) = line.flush() {
                self.close(index, Some(format!("writing: {error}")));
            }
        }
    }

    fn serve(&mut self, index: usize, event: Option<&Readiness>) {
        let Some(line) = self.field.slots.get(index).and_then(|slot| slot.line.as_ref()) else { return };
        if line.muted {
            // What it was sent stays unread; that the server gave it up shows all the same.
            if event.is_some_and(|event| event.is_error() || event.is_read_closed()) {
                self.close(index, Some("closed by the server".to_owned()));
            }
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let end = self.exchange(index, event, &mut buffer);
        self.buffer = buffer;
        match end {
            Ok(()) => {}
            Err(End::Left) => self.close(index, None),
            Err(End::Fault(why)) => self.close(index, Some(why)),
        }
    }

    /// Reads all there is and writes what came of it.
    fn exchange(&mut self, index: usize, event: Option<&Readiness>, buffer: &mut [u8]) -> Result<(), End> {
        let number = self.terms.first + index;
        let words = &self.terms.routes[number % self.terms.routes.len()].1;
        let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
        if line.state == State::Connecting {
            if !line.stream.is_connected().map_err(|error| End::Fault(format!("connecting: {error}")))? {
                return Ok(());
            }
            line.state = State::Upgrading;
            line.out.extend_from_slice(&words.upgrade);
        }
        if event.is_some_and(Readiness::is_writable) {
            line.stream.flush().map_err(|error| End::Fault(format!("writing: {error}")))?;
        }
        if event.is_none_or(|event| event.is_readable() || event.is_read_closed() || event.is_error()) {
            loop {
                let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
                match line.stream.read(buffer) {
                    Ok(0) if line.state == State::Leaving => return Err(End::Left),
                    Ok(0) => {
                        let state = line.state.waiting_for();
                        return Err(End::Fault(format!("the server hung up while we waited for {state}")));
                    }
                    Ok(count) => {
                        let now = self.field.shared.now();
                        let is_last = count < buffer.len() && line.stream.short_read_is_last();
                        self.receive(index, &mut buffer[..count], now)?;
                        if is_last {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) if line.state == State::Leaving => return Err(End::Left),
                    Err(error) => return Err(End::Fault(format!("reading: {error}"))),
                }
            }
        }
        let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
        match line.flush() {
            Err(_) if line.state == State::Leaving => Err(End::Left),
            other => other.map_err(|error| End::Fault(format!("writing: {error}"))),
        }
    }

    fn close(&mut self, index: usize, why: Option<String>) {
        let Some(line) = self.field.slots[index].line.take() else { return };
        if !matches!(line.state, State::Ready | State::Leaving) {
            self.field.under_way = self.field.under_way.saturating_sub(1);
        }
        drop(line);
        self.scenario.closed(&mut self.field, index, why);
    }
}

/// Why a connection is not read any further.
enum End {
    Left,
    Fault(String),
}
