//! [`Subscriber`]: what this server listens to, and the connection on which it does.
//!
//! It holds what is wanted; one task makes it so, and makes it so again after the connection was lost. There is no
//! queue between Redis and the node: a message is dealt with by the task that reads it, and what that cannot take in
//! time waits in Redis, which has a limit of its own (`client-output-buffer-limit`) and then cuts the connection.
//!
//! The task must never hold two connections at a time: a message would be heard twice, and other servers would count
//! one server too many.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{
    Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisError, RedisResult, ServerErrorKind, Value, cmd,
};
use tokio::sync::{Notify, watch};

use crate::backoff::Backoff;
use crate::health::{Health, Part};
use crate::lanes::{self, Breadth, Lanes, OnPush, nowhere};
use crate::redis::Redis;

/// Something to listen to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// By `SUBSCRIBE`.
    Channel(Arc<str>),
    /// By `PSUBSCRIBE`.
    Pattern(Arc<str>),
    /// By `SSUBSCRIBE`.
    Shard(Arc<str>),
}

/// A message that came.
pub(crate) struct Heard<'a> {
    /// What was listened to: a channel or a pattern.
    pub(crate) topic: &'a str,
    /// Where it was published.
    pub(crate) channel: &'a str,
    pub(crate) payload: &'a [u8],
}

/// Does something with a message, at once.
pub(crate) type OnMessage = Arc<dyn Fn(Heard<'_>) + Send + Sync>;

/// Listens. Shared by the bus, which says to what, and by the task that does it.
#[derive(Default)]
pub(crate) struct Subscriber {
    topics: Mutex<Topics>,
    changed: Notify,
    /// Up to which change everything is as it is wanted.
    settled: watch::Sender<u64>,
    /// Which connection counts: what an older one still says is not heard.
    current: AtomicU64,
}

#[derive(Default)]
struct Topics {
    known: HashMap<Topic, Standing>,
    /// To be looked at, in this order; the same one may be in here twice.
    changed: VecDeque<Topic>,
    /// How many changes there were.
    changes: u64,
}

/// What is wanted, and what is.
struct Standing {
    /// By how many: the names of a room and of a namespace may make the same channel.
    wanted: usize,
    there: There,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    No,
    /// Redis was asked to begin it.
    Beginning,
    Yes,
    /// Redis was asked to stop it.
    Ending,
}

impl Subscriber {
    /// Listens to these as well. Ask [`settled`](Self::settled) for when it does.
    pub(crate) fn listen(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut all = self.lock();
        for topic in topics {
            let standing = all.known.entry(topic.clone()).or_insert(Standing { wanted: 0, there: There::No });
            standing.wanted += 1;
            if standing.wanted == 1 {
                all.change(topic);
            }
        }
        drop(all);
        self.changed.notify_one();
    }

    /// Listens to these no longer, unless somebody else wants them.
    pub(crate) fn leave(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut all = self.lock();
        for topic in topics {
            let Some(standing) = all.known.get_mut(&topic) else { continue };
            standing.wanted = standing.wanted.saturating_sub(1);
            if standing.wanted == 0 {
                all.change(topic);
            }
        }
        drop(all);
        self.changed.notify_one();
    }

    /// Done when all that was said so far is so. While the connection is lost it is not.
    pub(crate) fn settled(&self) -> impl Future<Output = ()> + Send + 'static {
        let upto = self.lock().changes;
        let mut settled = self.settled.subscribe();
        async move {
            // An error means that there is nobody left to listen.
            let _ = settled.wait_for(|settled| *settled >= upto).await;
        }
    }

    /// The task. Ends when the bus is closed.
    pub(crate) async fn run(
        self: Arc<Self>,
        redis: Redis,
        breadth: Breadth,
        health: Arc<Health>,
        part: Part,
        on_message: OnMessage,
    ) {
        let mut backoff = Backoff::default();
        let work = async {
            loop {
                let error = match self.session(&redis, breadth, &part, &on_message, &mut backoff).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                // From here on the old connection is not listened to, and it is gone before there is a new one.
                self.current.fetch_add(1, Ordering::AcqRel);
                self.forget();
                part.down(&error);
                tokio::time::sleep(backoff.next()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = health.closed() => { self.current.fetch_add(1, Ordering::AcqRel); }
        }
    }

    /// One connection, from beginning to end.
    async fn session(
        self: &Arc<Self>,
        redis: &Redis,
        breadth: Breadth,
        part: &Part,
        on_message: &OnMessage,
        backoff: &mut Backoff,
    ) -> RedisResult<std::convert::Infallible> {
        let lost = Arc::new(Notify::new());
        let lanes = Lanes::open(redis, breadth, Some(self.ears(&lost, on_message))).await?;
        loop {
            while !self.reconcile(&lanes).await? {}
            part.up();
            tokio::select! {
                () = self.changed.notified() => {}
                () = lost.notified() => return Err(nowhere("the connection was closed")),
                () = tokio::time::sleep(redis.heartbeat) => {
                    lanes.look().await?;
                    backoff.reset();
                }
            }
        }
    }

    /// What hears one connection.
    fn ears(self: &Arc<Self>, lost: &Arc<Notify>, on_message: &OnMessage) -> OnPush {
        let number = self.current.load(Ordering::Acquire);
        let (this, lost, on_message) = (Arc::clone(self), Arc::clone(lost), Arc::clone(on_message));
        Arc::new(move |push: PushInfo| {
            if this.current.load(Ordering::Acquire) != number {
                return;
            }
            match (push.kind, push.data.as_slice()) {
                (PushKind::Message | PushKind::SMessage, [channel, Value::BulkString(payload)]) => {
                    if let Some(channel) = lanes::text(channel) {
                        on_message(Heard { topic: channel, channel, payload });
                    }
                }
                (PushKind::PMessage, [pattern, channel, Value::BulkString(payload)]) => {
                    if let (Some(topic), Some(channel)) = (lanes::text(pattern), lanes::text(channel)) {
                        on_message(Heard { topic, channel, payload });
                    }
                }
                (PushKind::Disconnection, _) => lost.notify_one(),
                // A slot went to another server of the cluster, and its channels with it.
                (PushKind::SUnsubscribe, [channel, ..]) if !this.is_ending(channel) => lost.notify_one(),
                _ => {}
            }
        })
    }

    fn is_ending(&self, channel: &Value) -> bool {
        let Some(channel) = lanes::text(channel) else { return true };
        let standing = self.lock().known.get(&Topic::Shard(channel.into())).map(|standing| standing.there);
        standing != Some(There::Yes)
    }

    /// Makes some things as they are wanted; whether all were.
    async fn reconcile(&self, lanes: &Lanes) -> RedisResult<bool> {
        let Work { begin, end, upto } = self.work();
        let done = begin.is_empty() && end.is_empty();
        let commands: Vec<(usize, Cmd)> = begin
            .iter()
            .map(|topic| (topic.lane(lanes), topic.command(true)))
            .chain(end.iter().map(|topic| (topic.lane(lanes), topic.command(false))))
            .collect();
        for lane in 0..lanes.len() {
            let mut pipeline = Pipeline::new();
            for (_, command) in commands.iter().filter(|(at, _)| *at == lane) {
                pipeline.add_command(command.clone());
            }
            if !pipeline.is_empty() {
                for answer in lanes::send(lanes.lane(lane), &pipeline).await? {
                    answer.extract_error()?;
                }
            }
        }
        self.done(begin, end);
        if let Some(changes) = upto {
            self.settled.send_replace(changes);
        }
        Ok(done)
    }

    /// What is to be begun and what ended, a part at a time.
    fn work(&self) -> Work {
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        let mut all = self.lock();
        while begin.len() + end.len() < PART {
            let Some(topic) = all.changed.pop_front() else { break };
            let Some(standing) = all.known.get_mut(&topic) else { continue };
            match (standing.wanted > 0, standing.there) {
                (true, There::No) => {
                    standing.there = There::Beginning;
                    begin.push(topic);
                }
                (false, There::Yes) => {
                    standing.there = There::Ending;
                    end.push(topic);
                }
                (false, There::No) => {
                    all.known.remove(&topic);
                }
                // Something is being done about it already.
                _ => {}
            }
        }
        Work { begin, end, upto: all.changed.is_empty().then_some(all.changes) }
    }

    /// Redis has confirmed it. What was changed again meanwhile is among the changes.
    fn done(&self, begun: Vec<Topic>, ended: Vec<Topic>) {
        let mut all = self.lock();
        for topic in begun {
            if let Some(standing) = all.known.get_mut(&topic) {
                standing.there = There::Yes;
            }
        }
        for topic in ended {
            match all.known.get_mut(&topic) {
                Some(standing) if standing.wanted > 0 => standing.there = There::No,
                _ => drop(all.known.remove(&topic)),
            }
        }
    }

    /// The connection is gone, and all subscriptions with it.
    fn forget(&self) {
        let mut all = self.lock();
        all.known.retain(|_, standing| {
            standing.there = There::No;
            standing.wanted > 0
        });
        all.changed = all.known.keys().cloned().collect();
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    fn change(&mut self, topic: Topic) {
        self.changed.push_back(topic);
        self.changes += 1;
    }
}

/// Some of what is to be done.
struct Work {
    begin: Vec<Topic>,
    end: Vec<Topic>,
    /// Up to which change all is done after this.
    upto: Option<u64>,
}

impl Topic {
    /// The channel or the pattern.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Topic::Channel(name) | Topic::Pattern(name) | Topic::Shard(name) => name,
        }
    }

    fn lane(&self, lanes: &Lanes) -> usize {
        match self {
            Topic::Shard(channel) => lanes.of(channel),
            _ => 0,
        }
    }

    fn command(&self, begin: bool) -> Cmd {
        let (begins, ends) = match self {
            Topic::Channel(_) => ("SUBSCRIBE", "UNSUBSCRIBE"),
            Topic::Pattern(_) => ("PSUBSCRIBE", "PUNSUBSCRIBE"),
            Topic::Shard(_) => ("SSUBSCRIBE", "SUNSUBSCRIBE"),
        };
        // One name for each command: each then has one answer, as any other command has.
        cmd(if begin { begins } else { ends }).arg(&**self.name()).take()
    }
}

/// Whether an error says that somebody else has to be asked, or later, and that nothing was done.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::Server(Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
    )
}

/// Commands that are sent at once.
const PART: usize = 1000;
