//! A session as its task sees it: the rules, the link, the outbox, and what passes between them.
//!
//! Everything that happens comes in here as a method call, is shown to the rules, and whatever they ask for is done at
//! once ([`Life::drain`]), except what concerns a WebSocket in the caller's hands: that is left as a sign ([`Signs`]).
//! Nothing here reads or waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use sockeye_proto::engine::Session as Machine;
use sockeye_proto::engine::{
    Control, Data, Fault, Kind, Lane, Outlet, Output, Packet, Reason as MachineReason, Received,
    decode_binary, decode_text,
};
use sockeye_proto::websocket::frame::{self, OpCode};
use sockeye_proto::websocket::{CloseCode, Event, Reader, Violation};
use tokio::time::Instant;

use crate::common::Common;
use crate::mail::Command;
use crate::outbox::Exit;
use crate::polling::Polling;
use crate::{Flow, Incoming, Link, Protocol, Reason, Session, Transport};

/// The session itself: rules, link, outbox.
pub(crate) struct Life<L: Link> {
    pub(crate) session: Session,
    pub(crate) link: Option<L>,
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
    until: Option<Duration>,
    pub(crate) polling: Option<Box<Polling>>,
    /// Why we are closing, where we decided it.
    closing: Option<Box<Reason>>,
    /// Since when something waits and nothing leaves.
    pub(crate) stalled_since: Option<Instant>,
    /// The rules know that everything is said.
    drained: bool,
    /// The link said pause.
    paused: bool,
    /// When it did, the outbox was half full or more.
    full: bool,
    /// The outbox is too full to read on.
    choked: bool,
    /// A WebSocket was between two messages, however briefly.
    pub(crate) settled: bool,
    pub(crate) signs: Signs,
}

/// What the rules asked for and whoever holds the sockets has to do.
#[derive(Default)]
pub(crate) struct Signs {
    /// Write `3probe` on the candidate.
    pub(crate) probe: bool,
    /// Write this on the candidate.
    pub(crate) pong: Option<Box<frame::Control>>,
    /// The candidate is the session's socket.
    pub(crate) switch: bool,
    /// The candidate has to go.
    pub(crate) drop_candidate: bool,
    /// The code of the close frame that the session's socket is to end with.
    pub(crate) farewell: Option<Farewell>,
    /// The session is over.
    pub(crate) closed: bool,
}

/// How the WebSocket ends.
#[derive(Clone, Copy)]
pub(crate) struct Farewell {
    pub(crate) code: Option<CloseCode>,
    /// The peer has said goodbye, or cannot be listened to any more.
    pub(crate) heard: bool,
}

impl<L: Link> Life<L> {
    pub(crate) fn new(
        session: Session,
        machine: Machine,
        now: Instant,
        polling: Option<Box<Polling>>,
    ) -> Self {
        Life {
            session,
            link: None,
            machine,
            now,
            until: None,
            polling,
            closing: None,
            stalled_since: None,
            drained: false,
            paused: false,
            full: false,
            choked: false,
            settled: false,
            signs: Signs::default(),
        }
    }

    pub(crate) fn common(&self) -> &Common {
        &self.session.0.common
    }

    /// The time by which the rules count.
    pub(crate) fn time(&self) -> Duration {
        self.common().since_epoch(self.now)
    }

    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Candidate(candidate) => {
                let time = self.time();
                let admission = self.machine.handle_candidate(time);
                crate::polling::admit_candidate(self, *candidate, admission);
                self.drain();
            }
            Command::Cut => {}
            other => crate::polling::command(self, other),
        }
    }

    /// Calls the link, and survives it.
    pub(crate) fn call<R>(&mut self, f: impl FnOnce(&mut L) -> R) -> Option<R> {
        let link = self.link.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| f(link))) {
            Ok(result) => Some(result),
            Err(_) => {
                tracing::error!("a link panicked; its session is closed");
                self.shut(Reason::ServerError, true);
                None
            }
        }
    }

    fn apply(&mut self, flow: Option<Flow>) {
        match flow {
            Some(Flow::Continue) if std::mem::take(&mut self.paused) => self.excuse(),
            Some(Flow::Continue) | None => {}
            Some(Flow::Pause) => {
                self.paused = true;
                self.full = self.session.queued() >= self.common().config.max_queue / 2;
            }
            Some(Flow::Close(reason)) => self.shut(reason, false),
        }
    }

    fn excuse(&mut self) {
        let time = self.time();
        self.machine.excuse_silence(time);
        self.drain();
    }

    pub(crate) fn woken(&mut self) {
        let flow = self.call(|link| link.woken());
        self.apply(flow);
    }

    /// Whether bytes from this lane may be looked at now.
    pub(crate) fn may_read(&self, lane: Lane) -> bool {
        let free = lane == Lane::Candidate || self.may_take_packets();
        free && self.machine.may_read(lane)
    }

    /// Feeds bytes of a WebSocket until they are used up or may not be looked at for now. Returns how many were used.
    pub(crate) fn feed(
        &mut self,
        reader: &mut Reader,
        lane: Lane,
        input: &mut [u8],
        cx: &mut Context<'_>,
    ) -> usize {
        let mut used = 0;
        while used < input.len() {
            match reader.read(&mut input[used..]) {
                Ok((count, event)) => {
                    used += count;
                    let Some(event) = event else { continue };
                    // A control frame in the middle of a message completes nothing.
                    self.settled |= !reader.is_mid_message();
                    self.event(lane, event);
                    self.choke(cx);
                }
                Err(violation) => {
                    self.violation(lane, violation);
                    return input.len();
                }
            }
            let signs = &self.signs;
            if signs.closed || signs.switch || signs.drop_candidate || !self.may_read(lane) {
                break;
            }
        }
        used
    }

    fn event(&mut self, lane: Lane, event: Event<'_>) {
        match event {
            Event::Text(text) => match decode_text(&text, self.machine.protocol()) {
                Ok(packet) => self.packet(lane, packet),
                Err(_) => self.undecodable(lane),
            },
            // Without a type byte the bytes are the message: an owned buffer is handed on as it is.
            Event::Binary(bytes) if self.machine.protocol() == Protocol::V4 => {
                self.packet(lane, Packet { kind: Kind::Message, data: Data::Binary(bytes) });
            }
            Event::Binary(bytes) => match decode_binary(&bytes, self.machine.protocol()) {
                Ok(packet) => self.packet(lane, packet),
                Err(_) => self.undecodable(lane),
            },
            Event::Ping(payload) => {
                let pong = frame::Control::pong(&payload, None);
                if lane == Lane::WebSocket {
                    self.session.0.lock().pong(&self.session.0, Bytes::copy_from_slice(pong.as_slice()));
                    self.session.0.flush_later(&self.session);
                } else {
                    self.signs.pong = Some(Box::new(pong));
                }
            }
            Event::Pong(_) => {}
            Event::Close(close) => {
                if lane == Lane::WebSocket {
                    self.signs.farewell = Some(Farewell { code: close.map(|close| close.code), heard: true });
                    self.session.0.lock().discard(&self.session.0);
                }
                self.lost(lane, None);
                self.signs.drop_candidate |= lane == Lane::Candidate;
            }
        }
    }

    fn violation(&mut self, lane: Lane, violation: Violation) {
        let fault = if violation == Violation::TooBig { Fault::TooBig } else { Fault::Frame };
        if lane == Lane::WebSocket {
            self.signs.farewell = Some(Farewell { code: Some(violation.close_code()), heard: true });
        }
        self.lost(lane, Some(fault));
        self.signs.drop_candidate |= lane == Lane::Candidate;
    }

    /// A packet has come on a lane.
    pub(crate) fn packet(&mut self, lane: Lane, packet: Packet<'_>) {
        let time = self.time();
        let received = self.machine.handle_packet(lane, &packet, time);
        self.drain();
        if received != Received::Deliver || !self.session.is_open() {
            return;
        }
        let doubled = self.machine.protocol() == Protocol::V3 && self.common().config.eio3_double_utf8;
        let packet = if doubled { packet.undoubled() } else { packet };
        let message = match packet.data {
            Data::Text(text) => Incoming::Text(text),
            Data::Binary(bytes) => Incoming::Binary(bytes),
        };
        let flow = self.call(|link| link.received(message));
        self.apply(flow);
    }

    pub(crate) fn undecodable(&mut self, lane: Lane) {
        let time = self.time();
        self.machine.handle_undecodable(lane, time);
        self.drain();
    }

    pub(crate) fn lost(&mut self, lane: Lane, fault: Option<Fault>) {
        let time = self.time();
        self.machine.handle_websocket_lost(lane, fault, time);
        self.drain();
    }

    /// While the outbox holds much, nothing is read: a peer that asks and does not listen waits for itself, and loses
    /// nothing.
    pub(crate) fn choke(&mut self, cx: &mut Context<'_>) {
        let high = self.high_water();
        if self.session.queued() <= high || self.choked {
            return;
        }
        let shared = &self.session.0;
        let mut outbox = shared.lock();
        outbox.flush(shared);
        drop(outbox);
        if self.session.queued() > high {
            self.choked = true;
            // Streams that only this task writes have not been tried yet.
            cx.waker().wake_by_ref();
        }
    }

    pub(crate) fn unchoke(&mut self) {
        if self.choked && self.session.queued() <= self.high_water() / 2 {
            self.choked = false;
            self.excuse();
        }
    }

    /// Whether the link takes messages at this moment.
    pub(crate) fn may_take_packets(&self) -> bool {
        !(self.paused || self.choked)
    }

    /// A link that said pause while much was waiting hears of it when that has left: nobody else would tell it.
    pub(crate) fn relieve(&mut self, cx: &mut Context<'_>) {
        let half = self.common().config.max_queue / 2;
        if !self.paused || !self.full || self.signs.closed {
            return;
        }
        let shared = &self.session.0;
        let mut outbox = shared.lock();
        outbox.flush(shared);
        drop(outbox);
        if self.session.queued() < half {
            self.full = false;
            self.woken();
            cx.waker().wake_by_ref();
        }
    }

    fn high_water(&self) -> usize {
        (self.common().config.max_queue / 2).min(256 * 1024)
    }

    // ---- what the rules ask for ---------------------------------------------------------------------------------

    /// Does all that the rules ask for.
    pub(crate) fn drain(&mut self) {
        loop {
            match self.machine.output() {
                Output::Idle { until } => {
                    self.until = until;
                    return;
                }
                Output::Send(control) => self.send_control(control),
                Output::SendProbe => self.signs.probe = true,
                Output::Switch => self.signs.switch = true,
                Output::CloseCandidate => self.signs.drop_candidate = true,
                Output::CloseWebSocket => {
                    self.signs.farewell.get_or_insert(Farewell { code: None, heard: false });
                }
                Output::AnswerPoll(answer) => crate::polling::answer(self, answer),
                Output::AnswerPost => crate::polling::answer_post(self),
                Output::DropPost => crate::polling::drop_post(self),
                Output::Closed(reason) => self.closed(reason),
            }
        }
    }

    fn send_control(&mut self, control: Control) {
        let mut bytes = Vec::new();
        let text = match control {
            Control::Open => format!("0{}", self.common().open(self.session.id(), Transport::WebSocket)),
            other => char::from(other.kind().digit()).to_string(),
        };
        frame::encode(OpCode::Text, false, text.as_bytes(), None, &mut bytes);
        let shared = &self.session.0;
        shared.lock().queue_first(shared, Bytes::from(bytes));
        shared.flush_later(&self.session);
    }

    fn closed(&mut self, reason: MachineReason) {
        let reason = match reason {
            MachineReason::TransportClose => Reason::TransportClose,
            MachineReason::TransportError(fault) => Reason::TransportError(fault.as_str()),
            MachineReason::PingTimeout => Reason::PingTimeout,
            MachineReason::ParseError => Reason::ParseError,
            MachineReason::ForcedClose => Reason::ForcedClose,
        };
        // Where we had a reason of our own, it is the reason, even if the peer was faster to hang up.
        let reason = self.closing.take().map_or(reason, |ours| *ours);
        if let Some(farewell) = &mut self.signs.farewell
            && !farewell.heard
        {
            farewell.code = CloseCode::new(reason.close_code());
        }
        self.over(&reason);
    }

    /// The session is over: nobody finds it, nothing more is taken, and the link hears why.
    fn over(&mut self, reason: &Reason) {
        if std::mem::replace(&mut self.signs.closed, true) {
            return;
        }
        self.session.0.shut();
        self.session.0.leave();
        self.common().counters.closed(reason);
        if let Some(link) = self.link.take()
            && catch_unwind(AssertUnwindSafe(|| link.closed(reason))).is_err()
        {
            tracing::error!("a link panicked while closing");
        }
    }

    /// Closes for a reason of ours.
    pub(crate) fn shut(&mut self, reason: Reason, abort: bool) {
        if self.signs.closed {
            return;
        }
        self.closing.get_or_insert_with(|| Box::new(reason));
        self.session.0.shut();
        let time = self.time();
        if abort {
            self.session.0.lock().discard(&self.session.0);
            self.machine.abort(time);
        } else {
            self.machine.close(time);
        }
        self.drain();
    }

    /// Ends at once, without a word.
    pub(crate) fn cut(&mut self) {
        let reason = self.closing.take().map_or(Reason::ServerShuttingDown, |reason| *reason);
        self.over(&reason);
    }

    // ---- time and queue -----------------------------------------------------------------------------------------

    /// Does what is due. `mid_since`: since when a WebSocket message has been incomplete.
    pub(crate) fn timers(&mut self, mid_since: Option<Instant>) {
        if self.signs.closed {
            return;
        }
        let time = self.time();
        if self.until.is_some_and(|until| until <= time) {
            if self.paused || self.choked {
                self.machine.excuse_silence(time);
                self.drain();
            }
            self.machine.handle_timeout(time);
            self.drain();
        }
        let now = self.now;
        if self.link.as_ref().and_then(|link| link.deadline()).is_some_and(|deadline| deadline <= now) {
            let flow = self.call(|link| link.timer());
            self.apply(flow);
        }
        let config = &self.common().config;
        let (stall, upload) = (config.stall_timeout, config.upload_timeout);
        if self.stalled_since.is_some_and(|since| since + stall <= now) {
            self.shut(Reason::SlowConsumer, true);
        }
        if mid_since.is_some_and(|since| since + upload <= now) {
            self.shut(Reason::TransportError("message took too long"), true);
        }
    }

    /// Answers a waiting poll if there is something to say, and ends an orderly close when all is said. Returns whether
    /// that made room for a POST that was held back.
    pub(crate) fn settle(&mut self) -> bool {
        let choked = self.choked;
        while !self.signs.closed {
            let outlet = self.machine.outlet();
            let closing = self.machine.is_closing();
            if outlet == Outlet::WebSocket && !closing {
                break;
            }
            let shared = &self.session.0;
            let mut outbox = shared.lock();
            if closing {
                outbox.flush(shared);
            }
            let empty = outbox.is_empty();
            match outlet {
                Outlet::Nowhere => outbox.hold(),
                Outlet::Poll => outbox.set_exit(Exit::Poll),
                Outlet::WebSocket => {}
            }
            drop(outbox);
            if outlet == Outlet::Poll && !empty {
                let Some(answer) = self.machine.take_poll() else { break };
                crate::polling::answer(self, answer);
                self.drain();
                self.unchoke();
            } else if closing && empty && !self.drained {
                self.drained = true;
                let time = self.time();
                self.machine.handle_drained(time);
                self.drain();
            } else {
                break;
            }
        }
        choked && !self.choked
    }

    /// When something is due next.
    pub(crate) fn deadline(&self, mid_since: Option<Instant>) -> Instant {
        let common = self.common();
        let config = &common.config;
        let far = || self.now + Duration::from_secs(3600);
        let until = self.until.map_or_else(far, |until| common.instant(until));
        [
            self.link.as_ref().and_then(|link| link.deadline()),
            self.stalled_since.map(|since| since + config.stall_timeout),
            mid_since.map(|since| since + config.upload_timeout),
        ]
        .into_iter()
        .flatten()
        .fold(until, Instant::min)
    }
}
