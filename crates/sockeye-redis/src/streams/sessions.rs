//! Sessions that were lost: kept under a key for a while, and taken out with what they missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Pipeline, RedisResult, Value, cmd};
use sockeye_cluster::{Body, BusError, BusFuture, Message, Missed, Restored, Session};
use sockeye_proto::cluster::Limits;
use sockeye_proto::cluster::streams::{self, Offset};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::entries;
use crate::backoff::Backoff;
use crate::lanes::Lanes;
use crate::road::Road;

/// Sessions on their way into Redis.
#[derive(Default)]
pub(super) struct Sessions {
    under_way: AtomicUsize,
    fewer: Notify,
}

/// So many may wait for Redis. One that is too many is not kept: its client starts anew.
const MOST: usize = 100_000;

impl Sessions {
    /// Keeps one, as soon as that is possible, for what is left of the window then.
    pub(super) fn keep(
        self: &Arc<Self>,
        road: &Road,
        key: String,
        value: String,
        window: Duration,
    ) -> BusFuture<()> {
        if self.under_way.fetch_add(1, Ordering::AcqRel) >= MOST {
            self.one_less();
            return crate::road::refuse(BusError::Full);
        }
        let end = Instant::now() + window;
        let (publisher, health) = (Arc::clone(&road.publisher), Arc::clone(&road.health));
        let keeping = async move {
            let mut backoff = Backoff::default();
            let mut lanes_later = publisher.lanes_later();
            loop {
                let lanes = lanes_later.wait_for(Option::is_some).await;
                let lanes = lanes.map_err(|_| BusError::Closed)?.clone().ok_or(BusError::Closed)?;
                let left = end.saturating_duration_since(Instant::now()).as_millis().max(1).to_string();
                let set = cmd("SET").arg(&key).arg(&value).arg("PX").arg(left).take();
                // Set twice is as good as once.
                if lanes.ask(&key, &set).await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(backoff.next()).await;
            }
        };
        let this = Arc::clone(self);
        let kept = road.runtime.spawn(async move {
            let kept = tokio::select! {
                kept = keeping => kept,
                () = tokio::time::sleep_until(end) => Err(BusError::other("its window is over")),
                () = health.closed() => Err(BusError::Closed),
            };
            this.one_less();
            kept
        });
        Box::pin(async move { kept.await.unwrap_or(Err(BusError::Closed)) })
    }

    /// Done when none is on its way.
    pub(super) async fn kept(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn one_less(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.fewer.notify_waiters();
    }
}

/// A session that a client asks for.
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) stream: String,
    pub(super) namespace: Arc<str>,
    /// As the client sent it.
    pub(super) offset: String,
    /// Bytes that what was missed may have.
    pub(super) most: usize,
    pub(super) limits: Limits,
}

impl Wanted {
    /// Takes it out, and reads what it missed.
    pub(super) async fn find(self, lanes: &Lanes) -> RedisResult<Option<Restored>> {
        // One of two that ask at the same time gets it.
        let mut take = Pipeline::new();
        take.atomic();
        take.add_command(cmd("GET").arg(&self.key).take()).add_command(cmd("DEL").arg(&self.key).take());
        let lane = lanes.lane(lanes.of(&self.key));
        let answers = lane.clone().send_packed_commands(&take, 3, 1).await?;
        let Some(Value::Array(answers)) = answers.into_iter().next() else { return Ok(None) };
        let Some(Value::BulkString(value)) = answers.into_iter().next() else { return Ok(None) };
        let Ok(session) = Session::decode(&value, &self.limits) else { return Ok(None) };
        let Ok(offset) = self.offset.parse::<Offset>() else { return Ok(None) };
        let Some((missed, until)) = self.missed(lanes, &session, offset).await? else { return Ok(None) };
        Ok(Some(Restored { session, missed, until: until.into() }))
    }

    /// What is behind the offset, and up to where; nothing if it is not all there.
    async fn missed(
        &self,
        lanes: &Lanes,
        session: &Session,
        offset: Offset,
    ) -> RedisResult<Option<(Vec<Missed>, Offset)>> {
        let (mut missed, mut until, mut bytes) = (Vec::new(), offset, 0_usize);
        while let Some(from) = until.next() {
            let range =
                cmd("XRANGE").arg(&self.stream).arg(from.to_string()).arg("+").arg("COUNT").arg(PAGE).take();
            let answer = lanes.ask(&self.stream, &range).await?;
            let found = entries::of_range(&answer);
            for entry in &found {
                until = entry.at;
                let Ok(Some(message)) = streams::decode(entry.fields(), &self.limits) else { continue };
                let Some(payload) = self.is_for(session, message) else { continue };
                bytes = bytes.saturating_add(payload.size());
                if bytes > self.most {
                    return Ok(None);
                }
                missed.push(Missed { at: entry.at.into(), payload });
            }
            if found.len() < PAGE {
                break;
            }
        }
        // A stream forgets its oldest entries first: if this one is still there, so was all that came after it.
        let at = offset.to_string();
        let there =
            lanes.ask(&self.stream, &cmd("XRANGE").arg(&self.stream).arg(&at).arg(&at).take()).await?;
        Ok((!entries::of_range(&there).is_empty()).then_some((missed, until)))
    }

    fn is_for(&self, session: &Session, message: Message) -> Option<sockeye_proto::socket::Payload> {
        match message.body {
            Body::Broadcast { payload, options, request: None }
                if message.namespace == self.namespace
                    && !options.flags.volatile
                    && options.mean(&session.rooms) =>
            {
                Some(payload)
            }
            _ => None,
        }
    }
}

/// Entries that are read at once.
const PAGE: usize = 500;
