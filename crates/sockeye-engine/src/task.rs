//! The loop: one task owns one session, across its transports. While that is on polling, requests may enter it
//! (`inside.rs`), one at a time.
//!
//! Each time it is woken it takes all that is waiting (commands from HTTP, pokes, bytes, time), feeds it to the rules
//! in `sockeye-proto`, does what they ask, and leaves; what was sent meanwhile is written once, when the turn ends.
//! It is written as one `poll` and not as an `async fn`, because ten thousand of these lie idle: nothing is
//! kept but the state itself, one timer, and no buffer. Bytes are read into a buffer that the thread lends.
//!
//! It never blocks, never waits for a lock that anybody holds for long, and never calls the application while holding
//! one.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use sockeye_proto::engine::{Fault, Lane, Session as Machine};
use sockeye_proto::websocket::frame::{self, OpCode};
use sockeye_proto::websocket::{Event, Reader, ReaderConfig, Role};
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::common::{Alive, Common};
use crate::inside::{Inside, Visited};
use crate::life::Life;
use crate::mail::{Candidate, Command};
use crate::outbox::{Collected, Exit};
use crate::polling::Polling;
use crate::stream::ReadEnd;
use crate::{Application, Handshake, Link, Reason, Session, Transport, turn};

/// How long a peer gets to answer our close frame.
const CLOSE_ANSWER: Duration = Duration::from_secs(5);
/// How long it gets to end the connection when both have said goodbye.
const CLOSE_END: Duration = Duration::from_secs(1);
/// How much is read in one go; then other tasks get their turn.
const BUDGET: usize = 256 * 1024;
/// How much may wait for a candidate that does not read.
const CANDIDATE_OUT: usize = 256;

/// See the module.
pub(crate) struct Task<L: Link> {
    place: Place<L>,
    alarm: Alarm,
    _alive: Alive,
}

/// Where the session is.
#[allow(clippy::large_enum_variant, reason = "most of those that live long are here")]
enum Place<L: Link> {
    /// Here.
    Here(Core<L>),
    /// Where requests may enter it.
    Inside(Arc<Inside<L>>),
    /// Gone.
    Nowhere,
}

/// Nothing in it is pinned.
impl<L: Link> Unpin for Task<L> {}

impl<L: Link> Drop for Task<L> {
    fn drop(&mut self) {
        let core = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Here(core) => Some(core),
            Place::Inside(inside) => inside.leave(),
            Place::Nowhere => None,
        };
        if let Some(mut core) = core {
            core.abandon();
        }
    }
}

pub(crate) struct Core<L: Link> {
    life: Life<L>,
    socket: Option<Socket>,
    ending: Ending,
}

/// How far the end of the connection is, once the session is over.
enum Ending {
    Not,
    /// Our close frame is on its way; until the moment given, the peer may answer.
    Goodbye {
        until: Instant,
        heard: bool,
    },
}

/// The WebSocket of the session.
struct Socket {
    read: ReadEnd,
    reader: Reader,
    /// Bytes that were read and may not be looked at yet, because the link said so. Never empty.
    held: Option<Box<BytesMut>>,
    /// Since when a message has been incomplete.
    mid_since: Option<Instant>,
}

/// How a session begins.
pub(crate) enum Start {
    /// With a GET, answered by the open packet.
    Polling { polling: Box<Polling> },
    /// With a WebSocket.
    WebSocket(Box<Candidate>),
}

impl<L: Link> Task<L> {
    /// Opens the session: the open packet is sent, then the application is told. Spawn what is returned.
    pub(crate) fn open<A: Application<Link = L>>(
        application: &A,
        session: Session,
        handshake: &Arc<Handshake>,
        start: Start,
        alarm: Alarm,
    ) -> Self {
        turn(|| {
            let common = session.0.common.clone();
            let alive = Alive::new(&common);
            let now = Instant::now();
            let time = common.since_epoch(now);
            let protocol = session.protocol();
            let (machine, polling, candidate) = match start {
                Start::Polling { polling } => {
                    (Machine::polling(protocol, common.timing(), time), Some(polling), None)
                }
                Start::WebSocket(candidate) => {
                    (Machine::websocket(protocol, common.timing(), time), None, Some(candidate))
                }
            };
            common.counters.opened.fetch_add(1, Relaxed);
            let life = Life::new(session, machine, now, polling);
            let mut core = Core { life, socket: None, ending: Ending::Not };
            let mut hello = Bytes::new();
            if let Some(mut candidate) = candidate {
                hello = std::mem::take(&mut candidate.hello);
                core.install(*candidate, None, &[]);
            }
            core.life.drain();
            if !hello.is_empty() {
                let shared = &core.life.session.0;
                shared.lock().queue_first(shared, hello);
            }
            let session = core.life.session.clone();
            match catch_unwind(AssertUnwindSafe(|| application.open(&session, handshake))) {
                Ok(link) => core.life.link = Some(link),
                Err(_) => {
                    tracing::error!("the application panicked while opening a session");
                    // What the end drops must not be the hello.
                    let shared = &core.life.session.0;
                    shared.lock().flush(shared);
                    core.life.shut(Reason::ServerError, true);
                }
            }
            let place = match core.socket {
                Some(_) => Place::Here(core),
                None => {
                    let inside = Arc::new(Inside::new(core));
                    session.0.lock().let_in(inside.clone());
                    Place::Inside(inside)
                }
            };
            Task { place, alarm, _alive: alive }
        })
    }
}

impl<L: Link> Future for Task<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Task { place, alarm, .. } = &mut *self;
        match place {
            Place::Here(core) => run(core, alarm, cx),
            Place::Inside(inside) => match inside.visit(alarm, cx) {
                Visited::Done(done) => done,
                Visited::Taken(core) => {
                    core.life.session.0.lock().let_nobody_in();
                    *place = Place::Here(core);
                    // Somebody may have left it something just before.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Place::Nowhere => Poll::Ready(()),
        }
    }
}

/// Runs rounds until there is nothing to do before the alarm rings, or at all.
pub(crate) fn run<L: Link>(core: &mut Core<L>, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let Some(deadline) = turn(|| core.step(None, cx)) else { return Poll::Ready(()) };
        // Most deadlines move away with each message, and firing early does no harm.
        ready!(alarm.poll(deadline, core.life.now, cx));
    }
}

impl<L: Link> Core<L> {
    pub(crate) fn is_on_websocket(&self) -> bool {
        self.socket.is_some()
    }

    /// One round, with what somebody has brought. Returns when the next is due at the latest, or `None` when all is over.
    pub(crate) fn step(&mut self, brought: Option<Command>, cx: &mut Context<'_>) -> Option<Instant> {
        let life = &mut self.life;
        life.now = Instant::now();
        let mut outbox = life.session.0.lock();
        let Collected { commands, close, poked, broken } = outbox.collect(cx);
        let blocked = outbox.is_blocked();
        drop(outbox);

        let cut = commands.iter().any(|command| matches!(command, Command::Cut));
        for command in commands.into_iter().chain(brought) {
            self.life.command(command);
        }
        if cut {
            self.life.cut();
            return None;
        }
        if let Some((reason, abort)) = close {
            self.life.shut(reason, abort);
        }
        if matches!(self.ending, Ending::Not) {
            let other = self.socket.as_mut().is_some_and(|socket| socket.read.other().is_some());
            if broken || blocked || other || self.life.stalled_since.is_some() {
                self.poll_write(cx);
            }
            if poked {
                self.life.woken();
            }
            self.poll_polling(cx);
            self.poll_read(cx);
            self.life.timers(self.socket.as_ref().and_then(|socket| socket.mid_since));
            if self.life.settle() {
                // There is room again for what a POST asks: go on with it.
                cx.waker().wake_by_ref();
            }
            self.life.relieve(cx);
            if self.life.signs.drop_candidate || self.life.signs.closed {
                self.poll_candidate(cx);
            }
            if self.socket.as_mut().is_some_and(|socket| socket.read.other().is_some()) {
                self.poll_write(cx);
            }
            self.begin_ending();
        }
        match self.ending {
            Ending::Not if self.life.signs.closed => None,
            Ending::Not => Some(self.life.deadline(self.socket.as_ref().and_then(|socket| socket.mid_since))),
            Ending::Goodbye { .. } => self.end(cx),
        }
    }

    /// Makes a WebSocket the session's. `reader` and `held` come with one that was a candidate before.
    fn install(&mut self, candidate: Candidate, reader: Option<Reader>, held: &[u8]) {
        let shared = &self.life.session.0;
        let reader =
            reader.unwrap_or_else(|| Reader::new(Role::Server, reader_config(&shared.common, &candidate)));
        let (read, write) = candidate.stream.split();
        let mut outbox = shared.lock();
        outbox.websocket(shared, candidate.deflate, candidate.b64);
        outbox.set_exit(match write {
            Some(write) => Exit::Direct(write),
            None => Exit::Task,
        });
        drop(outbox);
        let mut early = BytesMut::from(candidate.early);
        early.extend_from_slice(held);
        self.socket = Some(Socket { read, reader, held: kept(early), mid_since: None });
        shared.flush_later(&self.life.session);
    }

    /// Goes on writing where the socket took no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        let shared = &self.life.session.0;
        let other = self.socket.as_mut().and_then(|socket| socket.read.other());
        let mut outbox = shared.lock();
        let done = outbox.poll_flush(shared, cx, other);
        let (waits, progress) = outbox.stalled();
        drop(outbox);
        if let Poll::Ready(Err(_)) = done {
            return self.life.lost(Lane::WebSocket, Some(Fault::Write));
        }
        self.life.stalled_since = match self.life.stalled_since {
            _ if !waits => None,
            Some(since) if !progress => Some(since),
            _ => Some(self.life.now),
        };
        self.life.unchoke();
    }

    /// Reads what the session's WebSocket has.
    fn poll_read(&mut self, cx: &mut Context<'_>) {
        let Some(socket) = &mut self.socket else { return };
        let life = &mut self.life;
        let mut budget = BUDGET;
        loop {
            if life.signs.closed || !life.may_read(Lane::WebSocket) {
                socket.mid_since = None;
                return;
            }
            if let Some(mut held) = socket.held.take() {
                let used = life.feed(&mut socket.reader, Lane::WebSocket, &mut held, cx);
                // Not moved to the front: a link that takes one message at a time would have it moved for each. An empty
                // one goes, with its memory.
                held.advance(used);
                if !held.is_empty() {
                    socket.held = Some(held);
                }
                if std::mem::take(&mut life.settled) {
                    socket.mid_since = None;
                }
                continue;
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return;
            }
            let read = with_scratch(|scratch| {
                let count = match socket.read.poll_read(cx, scratch) {
                    Poll::Ready(Ok(count)) => count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                };
                let input = &mut scratch[..count];
                let used = life.feed(&mut socket.reader, Lane::WebSocket, input, cx);
                if used < count && !life.signs.closed {
                    socket.held = kept(BytesMut::from(&input[used..]));
                }
                Poll::Ready(Ok(count))
            });
            // Of those that are incomplete now and were before, it may be another message.
            if std::mem::take(&mut life.settled) {
                socket.mid_since = None;
            }
            match read {
                Poll::Ready(Ok(0)) => return life.lost(Lane::WebSocket, None),
                Poll::Ready(Ok(count)) => budget = budget.saturating_sub(count),
                Poll::Ready(Err(error)) => return life.lost(Lane::WebSocket, read_fault(&error)),
                Poll::Pending => break,
            }
        }
        socket.mid_since = match socket.reader.is_mid_message() {
            true => socket.mid_since.or(Some(life.now)),
            false => None,
        };
    }

    /// Everything about HTTP: a poll that was given up, a POST half read, a WebSocket that wants to take over.
    fn poll_polling(&mut self, cx: &mut Context<'_>) {
        let Some(polling) = &mut self.life.polling else { return };
        if polling.poll_given_up(cx) {
            self.life.machine.handle_poll_lost(self.life.time());
            self.life.drain();
        }
        self.life.poll_post(cx);
        self.poll_candidate(cx);
        let done = |polling: &Polling| polling.is_idle();
        if self.socket.is_some() && self.life.polling.as_deref().is_some_and(done) {
            self.life.polling = None;
        }
    }

    fn poll_candidate(&mut self, cx: &mut Context<'_>) {
        let Some(mut candidate) = self.life.polling.as_mut().and_then(|polling| polling.candidate.take())
        else {
            return;
        };
        let life = &mut self.life;
        let mut held = Vec::new();
        let mut budget = BUDGET;
        loop {
            // Nothing is added to what it does not read: a client that probes or pings without end gets few answers.
            let room = candidate.out.len() < CANDIDATE_OUT;
            if std::mem::take(&mut life.signs.probe) && room {
                frame::encode(OpCode::Text, false, b"3probe", None, &mut candidate.out);
            }
            if let Some(pong) = life.signs.pong.take()
                && room
            {
                candidate.out.extend_from_slice(pong.as_slice());
            }
            if std::mem::take(&mut life.signs.switch) {
                return self.switch(*candidate, &held);
            }
            if std::mem::take(&mut life.signs.drop_candidate) || life.signs.closed {
                life.session.0.common.counters.upgrades_failed.fetch_add(1, Relaxed);
                return candidate.goodbye(&life.session.0.common);
            }
            if let Poll::Ready(Err(_)) = candidate.poll_write(cx) {
                life.lost(Lane::Candidate, Some(Fault::Write));
                life.signs.drop_candidate = true;
                continue;
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                break;
            }
            let early = std::mem::take(&mut candidate.socket.early);
            let read = if early.is_empty() {
                with_scratch(|scratch| {
                    let count = match candidate.poll_read(cx, scratch) {
                        Poll::Ready(Ok(count)) => count,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    };
                    let used = life.feed(&mut candidate.reader, Lane::Candidate, &mut scratch[..count], cx);
                    held = scratch[used..count].to_vec();
                    Poll::Ready(Ok(count))
                })
            } else {
                let mut early = early.to_vec();
                let used = life.feed(&mut candidate.reader, Lane::Candidate, &mut early, cx);
                held = early.split_off(used);
                Poll::Ready(Ok(early.len().max(1)))
            };
            match read {
                Poll::Ready(Ok(0)) => {
                    life.lost(Lane::Candidate, None);
                    life.signs.drop_candidate = true;
                }
                Poll::Ready(Ok(count)) => budget = budget.saturating_sub(count),
                Poll::Ready(Err(_)) => {
                    life.lost(Lane::Candidate, Some(Fault::Frame));
                    life.signs.drop_candidate = true;
                }
                Poll::Pending => break,
            }
        }
        if let Some(polling) = &mut self.life.polling {
            polling.candidate = Some(candidate);
        }
    }

    /// The candidate has become the session's WebSocket. `held` came behind the packet that made it so.
    fn switch(&mut self, candidate: crate::polling::Probe, held: &[u8]) {
        let (candidate, reader, out) = candidate.into_parts();
        self.install(candidate, Some(reader), held);
        let shared = &self.life.session.0;
        if !out.is_empty() {
            shared.lock().queue_first(shared, Bytes::from(out));
        }
        shared.upgraded();
        shared.common.counters.upgraded.fetch_add(1, Relaxed);
        self.life.call(|link| link.upgraded(Transport::WebSocket));
    }

    /// If the session is over: what is left to do on the connection.
    fn begin_ending(&mut self) {
        if !self.life.signs.closed {
            return;
        }
        let shared = &self.life.session.0;
        let (Some(_), Some(farewell)) = (&self.socket, self.life.signs.farewell) else { return };
        let control = frame::Control::close(farewell.code, "", None);
        let mut outbox = shared.lock();
        outbox.queue_last(shared, Bytes::copy_from_slice(control.as_slice()));
        drop(outbox);
        let hurry = farewell.heard || shared.common.draining.load(Relaxed);
        let wait = if hurry { CLOSE_END } else { CLOSE_ANSWER };
        self.ending = Ending::Goodbye { until: self.life.now + wait, heard: farewell.heard };
    }

    /// After the session: sends our close frame, waits for the peer's, then ends the stream and waits for the peer
    /// to do the same. Both waits are short, and everything else that comes is thrown away.
    fn end(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let (Ending::Goodbye { until, heard }, Some(socket)) = (&mut self.ending, &mut self.socket) else {
            return None;
        };
        let now = self.life.now;
        let shared = &self.life.session.0;
        loop {
            let mut outbox = shared.lock();
            outbox.flush(shared);
            match outbox.poll_flush(shared, cx, socket.read.other()) {
                Poll::Ready(Err(_)) => return None,
                Poll::Ready(Ok(())) if *heard && outbox.is_empty() => {
                    outbox.retire(shared);
                    drop(outbox);
                    // For a shared socket this was the end of the stream; another has to be told.
                    if let Some(stream) = socket.read.other()
                        && let Poll::Ready(Err(_)) = Pin::new(stream).poll_shutdown(cx)
                    {
                        return None;
                    }
                }
                _ => drop(outbox),
            }
            if now >= *until {
                return None;
            }
            let read = with_scratch(|scratch| match socket.read.poll_read(cx, scratch) {
                Poll::Ready(Ok(count)) => {
                    let close = !*heard && finds_close(&mut socket.reader, &mut scratch[..count]);
                    Poll::Ready(Ok((count, close)))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            });
            match read {
                Poll::Ready(Ok((0, _)) | Err(_)) => return None,
                Poll::Ready(Ok((_, close))) => {
                    if close {
                        *heard = true;
                        *until = now + CLOSE_END;
                    }
                }
                Poll::Pending => return Some(*until),
            }
        }
    }

    /// The task is gone: at its end, or because the runtime went down under it.
    fn abandon(&mut self) {
        self.life.cut();
        let shared = &self.life.session.0;
        let left = shared.lock().orphan(shared);
        drop(left);
    }
}

/// Rare, and so no larger than a pointer where it is kept.
fn kept(bytes: BytesMut) -> Option<Box<BytesMut>> {
    (!bytes.is_empty()).then(|| Box::new(bytes))
}

pub(crate) fn reader_config(common: &Common, candidate: &Candidate) -> ReaderConfig {
    ReaderConfig {
        max_message: common.config.max_payload,
        strict_lengths: common.config.strict_lengths,
        deflate: candidate.deflate,
    }
}

/// A peer that resets the connection has closed it, as far as an application can tell.
fn read_fault(error: &io::Error) -> Option<Fault> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => None,
        _ => Some(Fault::Frame),
    }
}

/// Looks for the peer's close frame, and for nothing else.
fn finds_close(reader: &mut Reader, mut input: &mut [u8]) -> bool {
    while !input.is_empty() {
        match reader.read(input) {
            Ok((_, Some(Event::Close(_)))) | Err(_) => return true,
            Ok((used, _)) => input = &mut std::mem::take(&mut input)[used..],
        }
    }
    false
}

/// Lends the thread's read buffer. Taken out while in use, so that a nested use gets one of its own.
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    }
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; BUDGET].into_boxed_slice());
    let result = f(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flow, Incoming};

    /// Nobody's link.
    struct Silent;

    impl Link for Silent {
        fn received(&mut self, _: Incoming<'_>) -> Flow {
            Flow::Continue
        }

        fn closed(self, _: &Reason) {}
    }

    /// Ten thousand idle sessions are ten thousand of these.
    #[test]
    fn an_idle_session_is_small() {
        let (task, shared) = (size_of::<Task<Silent>>(), size_of::<crate::outbox::Shared>());
        println!("task {task}, shared {shared}, socket {}", size_of::<Socket>());
        assert!(task <= 700, "the task takes {task} bytes");
        assert!(shared <= 400, "what its handles share takes {shared} bytes");
    }
}
