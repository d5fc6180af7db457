//! [`Reader`]: reads one stream, from when this server came to it, on a connection of its own.
//!
//! It remembers the id of the last entry, and goes on behind it after a loss. Before that it makes sure that the last
//! entry is still there: a stream forgets its oldest entries first, so whatever came after it is there as well. If it
//! is not, what lies between may be lost, and is reported.

use std::convert::Infallible;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value, cmd};
use sockeye_cluster::Inbox;
use sockeye_proto::cluster::Limits;
use sockeye_proto::cluster::streams::{self, Offset};
use tokio::sync::watch;

use super::Settings;
use super::entries;
use crate::backoff::Backoff;
use crate::health::{Health, Part};
use crate::lanes::{Breadth, Lanes};
use crate::redis::Redis;

/// Reads one stream.
pub(super) struct Reader {
    stream: String,
    settings: Arc<Settings>,
    limits: Limits,
    /// Up to where it has read. Nothing before it was connected for the first time.
    position: watch::Sender<Option<Offset>>,
}

impl Reader {
    pub(super) fn new(stream: String, settings: Arc<Settings>, limits: Limits) -> Reader {
        Reader { stream, settings, limits, position: watch::Sender::default() }
    }

    /// Done when it knows from where it reads: whatever is written later is read.
    pub(super) fn begun(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut position = self.position.subscribe();
        async move {
            // An error means that nobody reads any more.
            let _ = position.wait_for(Option::is_some).await;
        }
    }

    /// The task. Ends when the bus is closed.
    pub(super) async fn run(self: Arc<Self>, redis: Redis, health: Arc<Health>, part: Part, inbox: Inbox) {
        let mut backoff = Backoff::default();
        let work = async {
            loop {
                let error = match self.session(&redis, &part, &inbox, &mut backoff).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                part.down(&error);
                tokio::time::sleep(backoff.next()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = health.closed() => {}
        }
    }

    /// One connection, from beginning to end.
    async fn session(
        &self,
        redis: &Redis,
        part: &Part,
        inbox: &Inbox,
        backoff: &mut Backoff,
    ) -> RedisResult<Infallible> {
        let lanes = Lanes::open(redis, Breadth::Owners, None).await?;
        let mut lane = lanes.lane(lanes.of(&self.stream)).clone();
        drop(lanes);
        lane.set_response_timeout(self.settings.block.saturating_add(redis.patience));
        let known = *self.position.borrow();
        let mut last = match known {
            Some(last) => last,
            None => end(&mut lane, &self.stream).await?.unwrap_or(Offset { time: 0, sequence: 0 }),
        };
        self.position.send_replace(Some(last));
        let mut behind = known.is_some();
        part.up();
        loop {
            let answer = if behind {
                self.catch_up(&mut lane, &mut last, inbox).await?
            } else {
                self.wait(&mut lane, last).await?
            };
            let found = entries::of_read(&answer);
            // There may be more already, and a stream that grows faster than it is read loses its oldest entries.
            behind = found.len() >= self.settings.read_count;
            for entry in &found {
                match streams::decode(entry.fields(), &self.limits) {
                    Ok(Some(message)) => inbox.logged(message, entry.at.into()),
                    Ok(None) => {}
                    Err(why) => inbox.refused(&why),
                }
                last = entry.at;
            }
            if !found.is_empty() {
                self.position.send_replace(Some(last));
            }
            backoff.reset();
        }
    }

    /// The next entries, as soon as there are any; after a while, none.
    async fn wait(&self, lane: &mut MultiplexedConnection, last: Offset) -> RedisResult<Value> {
        let block = self.settings.block.as_millis().max(1).to_string();
        let mut read = self.read();
        read.arg("BLOCK").arg(block);
        self.from(&mut read, last);
        lane.send_packed_command(&read).await?.extract_error()
    }

    /// The entries that are there, seen together with whether the last one still is.
    async fn catch_up(
        &self,
        lane: &mut MultiplexedConnection,
        last: &mut Offset,
        inbox: &Inbox,
    ) -> RedisResult<Value> {
        if let Some(end) = end(lane, &self.stream).await?
            && end < *last
        {
            // Not the stream that we knew: Redis has lost it, and it begins again.
            inbox.gap(None);
            *last = Offset { time: 0, sequence: 0 };
        }
        let mut read = self.read();
        self.from(&mut read, *last);
        let at = last.to_string();
        let mut together = Pipeline::new();
        together.atomic();
        together.add_command(cmd("XRANGE").arg(&*self.stream).arg(&at).arg(&at).take()).add_command(read);
        // The answers to MULTI and to each command are passed over; what counts is that of EXEC.
        let mut answers = lane.send_packed_commands(&together, 3, 1).await?;
        let Some(Value::Array(mut answers)) = answers.pop() else { return Ok(Value::Nil) };
        let entries = answers.pop().unwrap_or_default().extract_error()?;
        let there = answers.pop().unwrap_or_default().extract_error()?;
        let known = last.time > 0 || last.sequence > 0;
        if known && entries::of_range(&there).is_empty() && !entries::of_read(&entries).is_empty() {
            inbox.gap(None);
        }
        Ok(entries)
    }

    fn read(&self) -> redis::Cmd {
        cmd("XREAD").arg("COUNT").arg(self.settings.read_count).take()
    }

    fn from(&self, read: &mut redis::Cmd, last: Offset) {
        read.arg("STREAMS").arg(&*self.stream).arg(last.to_string());
    }
}

/// The id of the last entry that a stream ever got; nothing if there is no stream.
pub(super) async fn end(lane: &mut MultiplexedConnection, stream: &str) -> RedisResult<Option<Offset>> {
    // Asked first, because the error for a missing key has no code of its own.
    let exists = lane.send_packed_command(cmd("EXISTS").arg(stream)).await?.extract_error()?;
    if exists == Value::Int(0) {
        return Ok(None);
    }
    let info = lane.send_packed_command(cmd("XINFO").arg("STREAM").arg(stream)).await?;
    Ok(entries::last_id(&info.extract_error()?))
}
