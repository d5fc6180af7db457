//! [`Writer`]: adds to one stream, each message once.
//!
//! A message is taken into a bounded queue and waits there until Redis has confirmed it. What was on its way when the
//! connection was lost may or may not be in the stream: on the next connection the stream is searched for it from the
//! last entry of ours that was confirmed. Entries of one server stand in the order in which they were sent, so those
//! found are the first of those on their way; the rest is sent again.
//!
//! What waits longer than it should is given back ([`Inbox::unlogged`]), and is then never written.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, cmd};
use sockeye_cluster::{Body, BusError, Inbox, Message};
use sockeye_proto::cluster::streams::{Fields, Offset};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Settings;
use super::entries;
use crate::backoff::Backoff;
use crate::health::Health;
use crate::lanes::{self, Lanes, nowhere};
use crate::publisher::Publisher;
use crate::subscriber::is_elsewhere;

/// Adds to one stream.
pub(super) struct Writer {
    stream: String,
    settings: Arc<Settings>,
    health: Arc<Health>,
    publisher: Arc<Publisher>,
    /// None for an emitter.
    inbox: OnceLock<Inbox>,
    queue: Mutex<Queue>,
    filled: Notify,
    idle: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    bytes: usize,
    /// On its way, or the connection was lost on its way.
    under_way: VecDeque<Entry>,
    /// Behind this stands whatever of ours is not confirmed.
    confirmed: Option<Offset>,
    /// Since when there is no connection.
    away: Option<Instant>,
}

/// Something to be written.
pub(super) struct Entry {
    fields: Fields,
    /// To be given back if it cannot be written.
    message: Option<Message>,
    done: Option<oneshot::Sender<Result<(), BusError>>>,
}

impl Entry {
    /// Of a server, which hears of it again.
    pub(super) fn of_server(fields: Fields, message: &Message) -> Entry {
        let message = matches!(message.body, Body::Broadcast { .. }).then(|| message.clone());
        Entry { fields, message, done: None }
    }

    /// Of an emitter, which waits for it.
    pub(super) fn of_emitter(fields: Fields, done: oneshot::Sender<Result<(), BusError>>) -> Entry {
        Entry { fields, message: None, done: Some(done) }
    }

    fn size(&self) -> usize {
        self.fields.pairs().map(|(name, value)| name.len() + value.len()).sum::<usize>() + 256
    }

    fn is_same(&self, found: &entries::Found<'_>) -> bool {
        let ours = self.fields.pairs().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        ours.eq(found.fields())
    }
}

impl Writer {
    pub(super) fn new(
        stream: String,
        settings: Arc<Settings>,
        health: Arc<Health>,
        publisher: Arc<Publisher>,
        inbox: Option<Inbox>,
    ) -> Writer {
        Writer {
            stream,
            settings,
            health,
            publisher,
            inbox: inbox.map(OnceLock::from).unwrap_or_default(),
            queue: Mutex::new(Queue { away: Some(Instant::now()), ..Queue::default() }),
            filled: Notify::new(),
            idle: Notify::new(),
        }
    }

    /// The stream's key.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Takes something to be written.
    ///
    /// # Errors
    /// When it is not taken: too much waits, or has been waiting for too long.
    pub(super) fn take(&self, entry: Entry) -> Result<(), BusError> {
        if self.health.is_closed() {
            return Err(BusError::Closed);
        }
        let size = entry.size();
        let mut queue = self.lock();
        if queue.away.is_some_and(|since| since.elapsed() >= self.settings.hold) {
            return Err(self.health.refusal());
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(size) > self.settings.max_queued {
            return Err(BusError::Full);
        }
        queue.bytes += size;
        queue.waiting.push_back(entry);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Done when nothing waits any more.
    pub(super) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            {
                let queue = self.lock();
                if queue.waiting.is_empty() && queue.under_way.is_empty() {
                    return;
                }
            }
            idle.await;
        }
    }

    /// The task. Ends when the bus is closed.
    pub(super) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        let work = async {
            loop {
                let lanes = self.connected().await;
                self.lock().away = None;
                let Err(error) = self.session(&lanes, &mut backoff).await;
                tracing::debug!(stream = self.stream, %error, "not written");
                self.lock().away.get_or_insert_with(Instant::now);
                tokio::time::sleep(backoff.next().min(SOON)).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = self.health.closed() => {}
        }
        let left: Vec<Entry> = {
            let mut queue = self.lock();
            queue.bytes = 0;
            let under_way = std::mem::take(&mut queue.under_way);
            under_way.into_iter().chain(std::mem::take(&mut queue.waiting)).collect()
        };
        left.into_iter().for_each(|entry| self.give_back(entry, BusError::Closed));
        self.idle.notify_waiters();
    }

    /// The connections, when they are there. What has waited for too long by then is given back.
    async fn connected(&self) -> Lanes {
        let mut lanes = self.publisher.lanes_later();
        let since = self.lock().away.unwrap_or_else(Instant::now);
        let mut held = Box::pin(tokio::time::sleep_until(since + self.settings.hold));
        let mut holds = true;
        loop {
            if let Some(lanes) = &*lanes.borrow_and_update() {
                return lanes.clone();
            }
            tokio::select! {
                // The sender is the publisher, which is here.
                _ = lanes.changed() => {}
                () = &mut held, if holds => {
                    holds = false;
                    self.give_up();
                }
            }
        }
    }

    /// Nobody knows when Redis comes back. What was on its way may be written: it waits on.
    fn give_up(&self) {
        let waiting = {
            let mut queue = self.lock();
            let waiting = std::mem::take(&mut queue.waiting);
            queue.bytes -= waiting.iter().map(Entry::size).sum::<usize>();
            waiting
        };
        let why = self.health.refusal();
        waiting.into_iter().for_each(|entry| self.give_back(entry, why.clone()));
    }

    fn give_back(&self, entry: Entry, why: BusError) {
        self.publisher.count_lost(1);
        if let Some(done) = entry.done {
            // Who asked may have stopped waiting.
            let _ = done.send(Err(why));
        }
        if let (Some(message), Some(inbox)) = (entry.message, self.inbox.get()) {
            inbox.unlogged(message);
        }
    }

    /// One set of connections, as long as they are there.
    async fn session(&self, lanes: &Lanes, backoff: &mut Backoff) -> RedisResult<Infallible> {
        let mut later = self.publisher.lanes_later();
        later.mark_unchanged();
        self.settle(lanes).await?;
        loop {
            while self.write_some(lanes).await? {
                backoff.reset();
            }
            tokio::select! {
                () = self.filled.notified() => {}
                _ = later.changed() => return Err(nowhere("the connection was closed")),
            }
        }
    }

    /// Finds out what became of what was on its way.
    async fn settle(&self, lanes: &Lanes) -> RedisResult<()> {
        let confirmed = self.lock().confirmed;
        let Some(mut confirmed) = confirmed else {
            let end =
                super::reader::end(&mut lanes.lane(lanes.of(&self.stream)).clone(), &self.stream).await?;
            self.lock().confirmed = Some(end.unwrap_or(Offset { time: 0, sequence: 0 }));
            return Ok(());
        };
        while !self.lock().under_way.is_empty() {
            let Some(from) = confirmed.next() else { break };
            let range =
                cmd("XRANGE").arg(&*self.stream).arg(from.to_string()).arg("+").arg("COUNT").arg(PAGE).take();
            let answer = lanes.ask(&self.stream, &range).await?;
            let found = entries::of_range(&answer);
            for entry in &found {
                confirmed = entry.at;
                let mut queue = self.lock();
                if queue.under_way.front().is_some_and(|ours| ours.is_same(entry)) {
                    queue.finish(Some(entry.at));
                }
            }
            if found.len() < PAGE {
                break;
            }
        }
        let mut queue = self.lock();
        while let Some(entry) = queue.under_way.pop_back() {
            queue.waiting.push_front(entry);
        }
        Ok(())
    }

    /// Writes what waits; whether there was anything.
    async fn write_some(&self, lanes: &Lanes) -> RedisResult<bool> {
        let mut pipeline = Pipeline::new();
        {
            let mut queue = self.lock();
            let mut bytes = 0;
            while pipeline.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
                let Some(entry) = queue.waiting.pop_front() else { break };
                bytes += entry.size();
                pipeline.add_command(self.command(&entry.fields));
                queue.under_way.push_back(entry);
            }
        }
        if pipeline.is_empty() {
            self.idle.notify_waiters();
            return Ok(false);
        }
        let answers = lanes::send(lanes.lane(lanes.of(&self.stream)), &pipeline).await?;
        let (mut again, mut elsewhere) = (Vec::new(), None);
        for answer in answers {
            match answer.extract_error() {
                Ok(answer) => self.lock().finish(entries::place(&answer)),
                Err(error) => {
                    let mut queue = self.lock();
                    let Some(entry) = queue.under_way.pop_front() else { continue };
                    if is_elsewhere(&error) {
                        again.push(entry);
                        elsewhere = Some(error);
                    } else {
                        queue.bytes -= entry.size();
                        drop(queue);
                        tracing::warn!(stream = self.stream, %error, "Redis does not write it");
                        self.give_back(entry, BusError::other(&error));
                    }
                }
            }
        }
        let mut queue = self.lock();
        again.into_iter().rev().for_each(|entry| queue.waiting.push_front(entry));
        drop(queue);
        match elsewhere {
            Some(error) => {
                self.publisher.reconnect();
                Err(error)
            }
            None => Ok(true),
        }
    }

    fn command(&self, fields: &Fields) -> Cmd {
        let mut add = cmd("XADD");
        add.arg(&*self.stream).arg("MAXLEN").arg("~").arg(self.settings.max_len).arg("*");
        for (name, value) in fields.pairs() {
            add.arg(name).arg(value);
        }
        add
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The first of those on their way is in the stream.
    fn finish(&mut self, at: Option<Offset>) {
        self.confirmed = at.or(self.confirmed);
        if let Some(entry) = self.under_way.pop_front() {
            self.bytes -= entry.size();
            if let Some(done) = entry.done {
                // Who asked may have stopped waiting.
                let _ = done.send(Ok(()));
            }
        }
    }
}

const AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Entries that are searched at once.
const PAGE: usize = 500;

/// The connections are someone else's to wait for; this only keeps an error from spinning.
const SOON: Duration = Duration::from_millis(200);
