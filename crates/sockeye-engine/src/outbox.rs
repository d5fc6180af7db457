//! The one bounded way out of a session, for everybody who has its handle, and the way to its task.
//!
//! A message is queued under a lock that is held for moments, and leaves in one of three ways:
//!
//! - on a TCP or Unix socket, whoever holds the lock writes it, without waiting. Outside of a [`turn`](crate::turn()) that is the
//!   sender, at once; inside, everything that a session got is written when the turn ends, in one call;
//! - on another stream, and as the answer of a poll, the session's task takes it;
//! - where the socket takes no more, the task waits until it does and goes on.
//!
//! Nothing here decides anything about the protocol, and nothing here waits. An idle session holds no buffer: the
//! queue gives its memory back when it runs empty.

use std::borrow::Borrow;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sockeye_proto::engine::{EncodedPayload, Form, MessageHead, Owed, Unspeakable, encode_payload};
use sockeye_proto::websocket::deflate;
use tokio::io::AsyncWrite as _;

use crate::common::Common;
use crate::frames::{Encoder, Item, cost};
use crate::inside::Enter;
use crate::mail::{Command, Mail};
use crate::queue::Queue;
use crate::stream::WriteEnd;
use crate::{Handshake, Message, Protocol, Reason, SendError, Session, Transport, limits, turn};

/// What all handles of a session share.
pub(crate) struct Shared {
    pub(crate) id: Box<str>,
    pub(crate) common: Arc<Common>,
    /// Kept by whoever has the session, so addresses are not kept twice.
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) protocol: Protocol,
    /// The number of a JSONP client. Said by the handshake, and by no later request.
    pub(crate) jsonp: Option<Box<str>>,
    flags: AtomicU8,
    /// What waits in the outbox, by [`cost`]. Changed under the lock only, read by anyone.
    queued: AtomicUsize,
    outbox: Mutex<Outbox>,
}

/// Messages are taken.
const OPEN: u8 = 1;
/// The transport is WebSocket.
const WEBSOCKET: u8 = 2;
/// It counts as a session.
const SEATED: u8 = 4;
/// The application has accepted it.
const SETTLED: u8 = 8;

/// The queue, where it leads, and what the task has not seen yet.
pub(crate) struct Outbox {
    queue: Queue<Item>,
    /// How much of the first item has been written.
    written: usize,
    exit: Exit,
    waker: Option<Waker>,
    /// On the list of some thread's turn, which will flush it.
    dirty: bool,
    /// The socket takes no more; the task waits for it.
    blocked: bool,
    /// Something was written since the task last looked.
    progress: bool,
    poked: bool,
    /// Writing failed: the connection is dead.
    broken: bool,
    /// The task is gone: nobody is left to be told anything.
    orphaned: bool,
    mail: Option<Box<Mail>>,
    /// Where a request may enter the session itself. Only on polling.
    inside: Option<Arc<dyn Enter>>,
    encoder: Option<Box<Encoder>>,
}

/// Where the queue leads.
#[derive(Default)]
pub(crate) enum Exit {
    /// Nowhere for now: polling, and no poll is waiting; or not open yet.
    #[default]
    Closed,
    /// A poll is waiting: the task answers it.
    Poll,
    /// The task writes.
    Task,
    /// Whoever holds the lock writes.
    Direct(WriteEnd),
}

impl Shared {
    pub(crate) fn new(
        id: Box<str>,
        common: Arc<Common>,
        handshake: Arc<Handshake>,
        protocol: Protocol,
        transport: Transport,
        jsonp: Option<&str>,
    ) -> Self {
        let number = |j: &str| j.chars().filter(char::is_ascii_digit).take(20).collect();
        let websocket = if transport == Transport::WebSocket { WEBSOCKET } else { 0 };
        Shared {
            id,
            common,
            handshake,
            protocol,
            jsonp: jsonp.map(number),
            flags: AtomicU8::new(OPEN | SEATED | websocket),
            queued: AtomicUsize::new(0),
            outbox: Mutex::new(Outbox {
                queue: Queue::default(),
                written: 0,
                exit: Exit::Closed,
                waker: None,
                dirty: false,
                blocked: false,
                progress: false,
                poked: false,
                broken: false,
                orphaned: false,
                mail: None,
                inside: None,
                encoder: None,
            }),
        }
    }

    /// The address it is counted under, see [`crate::limits`].
    fn counted(&self) -> Option<IpAddr> {
        limits::counted(self.handshake.client_ip(), &self.common.config)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    pub(crate) fn transport(&self) -> Transport {
        if self.has(WEBSOCKET) { Transport::WebSocket } else { Transport::Polling }
    }

    pub(crate) fn upgraded(&self) {
        self.flags.fetch_or(WEBSOCKET, Relaxed);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.has(OPEN)
    }

    /// Takes no more messages. Under the lock, so that after it none can slip in.
    pub(crate) fn shut(&self) {
        let mut outbox = self.lock();
        self.flags.fetch_and(!OPEN, Relaxed);
        outbox.wake_waiters(usize::MAX);
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    /// So many bytes more wait. Under the lock: nobody else writes the number, so it takes no atomic addition.
    fn more(&self, bytes: usize) {
        self.queued.store(self.queued().wrapping_add(bytes), Relaxed);
    }

    fn less(&self, bytes: usize) {
        self.queued.store(self.queued().wrapping_sub(bytes), Relaxed);
    }

    /// Whether `total` more may be queued. One batch may always go into an empty queue, whatever its size: what could
    /// never be sent at all would be a trap.
    fn room(&self, total: usize) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let queued = self.queued();
        if queued > 0 && queued.saturating_add(total) > self.common.config.max_queue {
            return Err(SendError::Full);
        }
        Ok(())
    }

    pub(crate) fn send<'a>(
        &self,
        session: &Session,
        batch: impl Iterator<Item = &'a Message> + Clone,
    ) -> Result<(), SendError> {
        let total = batch.clone().map(cost).sum();
        let outbox = self.lock();
        self.room_or_count(total)?;
        self.push(session, outbox, batch);
        Ok(())
    }

    /// One message.
    pub(crate) fn send_one(
        &self,
        session: &Session,
        message: impl Borrow<Message> + Into<Message>,
    ) -> Result<(), SendError> {
        let mut outbox = self.lock();
        self.room_or_count(cost(message.borrow()))?;
        if turn::is_running() || !outbox.write_through(message.borrow()) {
            outbox.queue(self, message.into());
            self.send_off(session, outbox);
        }
        Ok(())
    }

    pub(crate) fn send_volatile<'a>(
        &self,
        session: &Session,
        batch: impl Iterator<Item = &'a Message> + Clone,
    ) -> bool {
        let total = batch.clone().map(cost).sum();
        let outbox = self.lock();
        let fits = outbox.writable() && self.room(total).is_ok();
        if fits {
            self.push(session, outbox, batch);
        } else {
            self.common.counters.volatile_dropped.fetch_add(1, Relaxed);
        }
        fits
    }

    fn room_or_count(&self, total: usize) -> Result<(), SendError> {
        let room = self.room(total);
        if room == Err(SendError::Full) {
            self.common.counters.overflows.fetch_add(1, Relaxed);
        }
        room
    }

    pub(crate) fn writable(&self) -> bool {
        self.is_open() && self.lock().writable()
    }

    /// Queues, and writes now or when the turn ends.
    fn push<'a>(
        &self,
        session: &Session,
        mut outbox: MutexGuard<'_, Outbox>,
        batch: impl Iterator<Item = &'a Message>,
    ) {
        for message in batch {
            outbox.queue(self, message.clone());
        }
        self.send_off(session, outbox);
    }

    /// Writes what has been queued, now or when the turn ends.
    fn send_off(&self, session: &Session, mut outbox: MutexGuard<'_, Outbox>) {
        if !turn::is_running() {
            outbox.flush(self);
        } else if !std::mem::replace(&mut outbox.dirty, true) {
            drop(outbox);
            turn::remember(session.clone());
        }
    }

    pub(crate) fn poll_ready(&self, bytes: usize, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut outbox = self.lock();
        match self.room(bytes) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(SendError::Closed) => Poll::Ready(Err(SendError::Closed)),
            Err(SendError::Full) => {
                let fits_at = self.common.config.max_queue.saturating_sub(bytes);
                let waiters = &mut outbox.mail().waiters;
                waiters.retain(|(_, waker)| !waker.will_wake(cx.waker()));
                waiters.push((fits_at, cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Writes what waits when the turn ends, for what the task put into the queue itself.
    pub(crate) fn flush_later(&self, session: &Session) {
        self.send_off(session, self.lock());
    }

    pub(crate) fn poke(&self) {
        let mut outbox = self.lock();
        outbox.poked = true;
        outbox.wake();
    }

    pub(crate) fn command(&self, command: Command) {
        let mut outbox = self.lock();
        if outbox.orphaned {
            // Dropped, and with it the slot for the answer: whoever waits for that learns it.
            drop(outbox);
            return drop(command);
        }
        outbox.mail().commands.push(command);
        outbox.wake();
    }

    /// Does what a request asks here and now, if the session can be entered; else leaves it to the task.
    pub(crate) fn command_here(&self, command: Command) {
        let outbox = self.lock();
        let (Some(inside), Some(waker)) = (outbox.inside.clone(), outbox.waker.clone()) else {
            drop(outbox);
            return self.command(command);
        };
        drop(outbox);
        if let Err(command) = inside.enter(command, &waker) {
            self.command(command);
        }
    }

    /// Asks the task to close. The first reason stays; an abort overrules an orderly close.
    pub(crate) fn close(&self, reason: Reason, abort: bool) {
        let mut outbox = self.lock();
        let was_open = self.flags.fetch_and(!OPEN, Relaxed) & OPEN != 0;
        let close = &mut outbox.mail().close;
        match close {
            Some((_, orderly)) => *orderly |= abort,
            None if was_open || abort => *close = Some((reason, abort)),
            None => return,
        }
        outbox.wake_waiters(usize::MAX);
        outbox.wake();
    }

    pub(crate) fn overflow(&self) {
        self.close(Reason::SlowConsumer, true);
    }

    pub(crate) fn settle(&self) {
        // Whoever sets the flag gives the place back, here or in `leave`: so it is given back once.
        if self.flags.fetch_or(SETTLED, Relaxed) & SETTLED == 0 {
            self.common.settled(self.counted());
        }
    }

    /// Whether it still has its place.
    pub(crate) fn is_alive(&self) -> bool {
        self.has(SEATED)
    }

    /// Its id belongs to another session: gives the place back without touching that one's entry.
    pub(crate) fn disown(&self) {
        if self.flags.fetch_and(!(SEATED | OPEN), Relaxed) & SEATED != 0 {
            let unsettled = self.flags.fetch_or(SETTLED, Relaxed) & SETTLED == 0;
            self.common.vacate(self.counted(), unsettled);
        }
    }

    /// Gives up its place: it is found no more and counts no more. Done once, whoever comes first.
    pub(crate) fn leave(&self) {
        let before = self.flags.fetch_and(!(SEATED | OPEN), Relaxed);
        if before & SEATED != 0 {
            let unsettled = self.flags.fetch_or(SETTLED, Relaxed) & SETTLED == 0;
            self.common.left(&self.id, self.counted(), unsettled);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Outbox {
    fn mail(&mut self) -> &mut Mail {
        self.mail.get_or_insert_default()
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn wake_waiters(&mut self, queued: usize) {
        let Some(mail) = &mut self.mail else { return };
        mail.waiters.retain(|(fits_at, waker)| {
            let wake = queued == usize::MAX || queued == 0 || queued <= *fits_at;
            if wake {
                waker.wake_by_ref();
            }
            !wake
        });
    }

    fn writable(&self) -> bool {
        let way = match self.exit {
            Exit::Closed => false,
            Exit::Poll => true,
            Exit::Task | Exit::Direct(_) => !self.blocked,
        };
        way && (self.queue.is_empty() || self.dirty)
    }

    /// The common case outside of a turn: one text message and nothing before it. It is written from where it lies and
    /// never queued. False if the socket did not take all of it, or was not to be tried; it is to be queued then.
    fn write_through(&mut self, message: &Message) -> bool {
        if !self.queue.is_empty() || self.encoder.is_some() || self.blocked || message.is_binary() {
            return false;
        }
        let Exit::Direct(wire) = &self.exit else { return false };
        let Ok(count) = wire.try_write(message.frame_bytes()) else { return false };
        self.progress = true;
        if count == message.frame_bytes().len() {
            return true;
        }
        self.written = count;
        false
    }

    fn queue(&mut self, shared: &Shared, message: Message) {
        let item = self.encode(shared, message);
        shared.more(item.cost());
        self.queue.push_back(item);
    }

    fn encode(&mut self, shared: &Shared, message: Message) -> Item {
        match &mut self.encoder {
            Some(encoder) => encoder.encode(shared, message),
            None => Item::Message(message),
        }
    }

    /// Requests may enter the session from now on.
    pub(crate) fn let_in(&mut self, inside: Arc<dyn Enter>) {
        self.inside = Some(inside);
    }

    pub(crate) fn let_nobody_in(&mut self) {
        self.inside = None;
    }

    // ---- for the task -------------------------------------------------------------------------------------------

    /// What has come for the task since it last asked.
    pub(crate) fn collect(&mut self, cx: &mut Context<'_>) -> Collected {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        let (commands, close) = match &mut self.mail {
            Some(mail) => (std::mem::take(&mut mail.commands), mail.close.take()),
            None => (Vec::new(), None),
        };
        if self.mail.as_ref().is_some_and(|mail| mail.waiters.is_empty() && mail.pong.is_none()) {
            self.mail = None;
        }
        Collected { commands, close, poked: std::mem::take(&mut self.poked), broken: self.broken }
    }

    /// Whether something waits to be written and cannot be; whether anything was written since last asked.
    pub(crate) fn stalled(&mut self) -> (bool, bool) {
        let waits = !self.queue.is_empty() && matches!(self.exit, Exit::Direct(_) | Exit::Task);
        (waits, std::mem::take(&mut self.progress))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Polling, and no poll is waiting.
    pub(crate) fn hold(&mut self) {
        if matches!(self.exit, Exit::Poll) {
            self.exit = Exit::Closed;
        }
    }

    pub(crate) fn set_exit(&mut self, exit: Exit) {
        self.exit = exit;
    }

    /// From now on messages are frames of a WebSocket: what waits is encoded as such.
    pub(crate) fn websocket(&mut self, shared: &Shared, deflate: Option<deflate::Params>, b64: bool) {
        let level = shared.common.config.deflate.map_or(6, |options| options.level);
        let Some(encoder) = Encoder::new(deflate, b64, level) else { return };
        self.encoder = Some(Box::new(encoder));
        let mut waiting = std::mem::take(&mut self.queue);
        while let Some(item) = waiting.pop_front() {
            let before = item.cost();
            let item = match item {
                Item::Message(message) => self.encode(shared, message),
                frame => frame,
            };
            shared.more(item.cost());
            shared.less(before);
            self.queue.push_back(item);
        }
    }

    /// Queues a frame of the engine's own before all messages that have not begun to leave.
    pub(crate) fn queue_first(&mut self, shared: &Shared, frame: Bytes) {
        shared.more(frame.len());
        self.queue.push_front(Item::Frame(frame), self.written > 0);
    }

    /// Queues a frame of the engine's own after everything.
    pub(crate) fn queue_last(&mut self, shared: &Shared, frame: Bytes) {
        shared.more(frame.len());
        self.queue.push_back(Item::Frame(frame));
    }

    /// Queues the answer to a ping. A peer that pings faster than it reads gets the latest one only.
    pub(crate) fn pong(&mut self, shared: &Shared, frame: Bytes) {
        if self.blocked || !self.queue.is_empty() {
            self.mail().pong = Some(frame);
        } else {
            self.queue_first(shared, frame);
        }
    }

    /// Drops everything that has not begun to leave.
    pub(crate) fn discard(&mut self, shared: &Shared) {
        let mut dropped = std::mem::take(&mut self.queue);
        if self.written > 0
            && let Some(begun) = dropped.pop_front()
        {
            self.queue.push_back(begun);
        }
        shared.less(dropped.iter().map(Item::cost).sum());
        self.wake_waiters(shared.queued());
    }

    /// The end: nothing is left, nothing leaves, the connection's writing side is closed.
    pub(crate) fn retire(&mut self, shared: &Shared) {
        self.queue = Queue::default();
        self.written = 0;
        shared.queued.store(0, Relaxed);
        self.exit = Exit::Closed;
        self.blocked = false;
        self.encoder = None;
        self.wake_waiters(usize::MAX);
    }

    /// The session's task is gone: nobody is left to be woken.
    pub(crate) fn orphan(&mut self, shared: &Shared) -> Left {
        self.retire(shared);
        self.orphaned = true;
        // To be dropped outside of the lock: a command may hold what takes it.
        (self.waker.take(), self.mail.take(), self.inside.take())
    }

    /// Takes as much out of the queue as one poll's answer holds.
    pub(crate) fn payload(
        &mut self,
        shared: &Shared,
        form: Form,
        owed: Owed,
        open: &str,
    ) -> Result<EncodedPayload, Unspeakable> {
        let config = &shared.common.config;
        let room = config.max_poll_packets.saturating_sub(owed.controls().count());
        let messages = self.queue.iter().take(room).filter_map(|item| match item {
            Item::Message(message) => Some(message),
            Item::Frame(_) => None,
        });
        let payload = encode_payload(form, owed.controls(), open, messages, config.max_poll)?;
        for _ in 0..payload.taken {
            let taken = self.queue.pop_front().map_or(0, |item| item.cost());
            shared.less(taken);
        }
        self.emptied(shared);
        Ok(payload)
    }

    /// The turn that put this on its list is over.
    pub(crate) fn end_turn(&mut self, shared: &Shared) {
        self.dirty = false;
        self.flush(shared);
    }

    /// Hands what waits to the socket, or to the task, whichever writes.
    pub(crate) fn flush(&mut self, shared: &Shared) {
        if self.blocked || self.queue.is_empty() {
            return;
        }
        match std::mem::take(&mut self.exit) {
            Exit::Direct(wire) => {
                let done = self.write(shared, |slices| match slices {
                    [one] => wire.try_write(one),
                    many => wire.try_write_vectored(many),
                });
                self.exit = Exit::Direct(wire);
                match done {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        self.wake();
                    }
                    Err(_) => {
                        self.broken = true;
                        self.blocked = true;
                        self.wake();
                    }
                }
            }
            exit => {
                if matches!(exit, Exit::Poll | Exit::Task) {
                    self.wake();
                }
                self.exit = exit;
            }
        }
    }

    /// The task's part of flushing: waits for a socket that took no more, or writes to a stream that only it may
    /// touch. Ready when nothing is left to wait for.
    pub(crate) fn poll_flush(
        &mut self,
        shared: &Shared,
        cx: &mut Context<'_>,
        other: Option<&mut Box<dyn crate::stream::Io>>,
    ) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(stream) = other {
            let mut stream = std::pin::Pin::new(stream);
            self.blocked = false;
            if !self.queue.is_empty() {
                let done =
                    self.write(shared, |slices| match stream.as_mut().poll_write_vectored(cx, slices) {
                        Poll::Ready(result) => result,
                        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                    });
                match done {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(()) => {}
                }
            }
            return stream.poll_flush(cx);
        }
        while self.blocked {
            let Exit::Direct(wire) = &self.exit else { break };
            std::task::ready!(wire.poll_ready(cx))?;
            self.blocked = false;
            self.flush(shared);
            if self.broken {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes until the queue is empty or `write` fails.
    fn write(
        &mut self,
        shared: &Shared,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while !self.queue.is_empty() {
            let count = match self.gather(shared.protocol, &mut write) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) => {
                    // There may be room again without all having left.
                    self.emptied(shared);
                    return Err(error);
                }
            };
            self.advance(shared, count);
        }
        self.emptied(shared);
        Ok(())
    }

    /// One call of `write` with as much of the queue as goes into one.
    fn gather(
        &self,
        protocol: Protocol,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if let (1, Some(first)) = (self.queue.len(), self.queue.front())
            && let Some(bytes) = first.whole()
        {
            return write(&[IoSlice::new(bytes.get(self.written..).unwrap_or_default())]);
        }
        // A binary message is two pieces, one of which is made here. The list of pieces borrows from the list of
        // made ones, so these come first.
        const ITEMS: usize = 32;
        let mut heads = [MessageHead::default(); ITEMS];
        for (item, head) in self.queue.iter().zip(&mut heads) {
            if let Item::Message(message) = item
                && message.is_binary()
            {
                *head = message.head(protocol);
            }
        }
        let mut slices = [IoSlice::new(&[]); 2 * ITEMS];
        let mut count = 0;
        let mut skip = self.written;
        for (item, head) in self.queue.iter().zip(&heads) {
            let pieces = match item {
                Item::Message(message) if message.is_binary() => [head.as_slice(), message.payload()],
                Item::Message(message) => [message.frame_bytes(), &[]],
                Item::Frame(frame) => [&frame[..], &[]],
            };
            for piece in pieces {
                let skipped = skip.min(piece.len());
                skip -= skipped;
                if skipped < piece.len() {
                    slices[count] = IoSlice::new(&piece[skipped..]);
                    count += 1;
                }
            }
        }
        write(&slices[..count])
    }

    /// Forgets `count` bytes that have been written.
    fn advance(&mut self, shared: &Shared, count: usize) {
        self.progress = true;
        let mut done = self.written + count;
        while let Some(first) = self.queue.front() {
            let length = first.length(shared.protocol);
            if done < length {
                break;
            }
            done -= length;
            shared.less(first.cost());
            self.queue.pop_front();
        }
        self.written = done;
        if self.written == 0
            && let Some(pong) = self.mail.as_mut().and_then(|mail| mail.pong.take())
        {
            self.queue_first(shared, pong);
        }
    }

    /// After something left: tells those who wait for room.
    fn emptied(&mut self, shared: &Shared) {
        if self.mail.is_some() {
            self.wake_waiters(shared.queued());
        }
    }
}

/// What is left when the task is gone. To be dropped outside of the lock.
pub(crate) type Left = (Option<Waker>, Option<Box<Mail>>, Option<Arc<dyn Enter>>);

/// See [`Outbox::collect`].
pub(crate) struct Collected {
    pub(crate) commands: Vec<Command>,
    pub(crate) close: Option<(Reason, bool)>,
    pub(crate) poked: bool,
    pub(crate) broken: bool,
}
