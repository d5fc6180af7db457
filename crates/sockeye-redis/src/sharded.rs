//! [`Sharded`]: the bus of `createShardedAdapter`.

use std::fmt;
use std::sync::Arc;

use sockeye_cluster::{
    Asker, Bus, BusError, BusFuture, Emitter, Inbox, Message, Outlet, Peers, RoomChange, State,
};
use sockeye_proto::cluster::{adapter, sharded};
use tokio::sync::watch;

use crate::lanes::Breadth;
use crate::publisher::Publication;
use crate::redis::Redis;
use crate::road::refuse;
use crate::subscriber::Heard;
use crate::talk::Talk;

pub use sockeye_proto::cluster::sharded::Mode;

/// A cluster with `@socket.io/redis-adapter`'s `createShardedAdapter`: sharded channels, of Redis 7.
///
/// In a Redis Cluster a message visits only the server of Redis that its channel belongs to, and (other than in
/// [`Mode::Static`]) a broadcast to one room only the servers that have somebody in it.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_redis::{Mode, Redis, Sharded};
///
/// let redis = Redis::new("redis-cluster://10.0.0.1:7000,10.0.0.2:7000")?;
/// let bus = Sharded::new(redis).channel_prefix("my-app").subscription_mode(Mode::DynamicPrivate);
/// # Ok(()) }
/// ```
///
/// A room's first member is in it for this server at once, and for the others when Redis has confirmed the
/// subscription: wait for the join, and nothing is missed.
///
/// What Redis cannot be told is kept and sent when it is back, up to [`max_queued`](Self::max_queued); what does not
/// fit is refused. Questions are refused at once while Redis is away. What other servers published meanwhile is lost:
/// this kind has no log, and a connection is recovered only by the server that it was on. When a slot moves to another
/// server of a Redis Cluster, all subscriptions are made anew, with the same loss for that moment.
pub struct Sharded(Arc<Wire>);

struct Wire {
    talk: Talk,
    mode: Mode,
}

impl Sharded {
    /// A bus to this Redis.
    ///
    /// # Panics
    /// Outside of a tokio runtime: that is where its connections live.
    pub fn new(redis: Redis) -> Sharded {
        Sharded(Arc::new(Wire { talk: Talk::new(redis, true), mode: Mode::default() }))
    }

    /// What the names of all channels begin with (`channelPrefix`). Default `socket.io`. Never shared with a cluster
    /// of another kind.
    #[must_use]
    pub fn channel_prefix(self, prefix: impl Into<String>) -> Sharded {
        self.with(|wire| wire.talk.prefix = prefix.into())
    }

    /// Which rooms have a channel of their own (`subscriptionMode`). Default [`Mode::Dynamic`]. All servers of a
    /// cluster must agree.
    #[must_use]
    pub fn subscription_mode(self, mode: Mode) -> Sharded {
        self.with(|wire| wire.mode = mode)
    }

    /// Bytes that may wait for Redis, away or slow, before more is refused. Default 8 MiB.
    #[must_use]
    pub fn max_queued(self, bytes: usize) -> Sharded {
        self.0.talk.road.publisher.set_limit(bytes);
        self
    }

    /// How many publications were taken, and then not confirmed by Redis: the connection was lost while they were on
    /// their way, or Redis refused them.
    pub fn lost(&self) -> u64 {
        self.0.talk.road.publisher.lost()
    }

    /// What a process without a server sends with. Node has no emitter of this kind; its servers hear this one.
    pub fn emitter(self) -> Emitter {
        self.0.talk.road.start_publisher();
        Emitter::new(self.0)
    }

    /// Settings are made before anybody else holds it.
    fn with(mut self, change: impl FnOnce(&mut Wire)) -> Sharded {
        if let Some(wire) = Arc::get_mut(&mut self.0) {
            change(wire);
        }
        self
    }
}

impl Bus for Sharded {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.talk.name)
    }

    fn start(&self, inbox: Inbox) {
        if self.0.talk.inbox.set(inbox).is_ok() {
            // Its own tasks do not keep it alive.
            let wire = Arc::downgrade(&self.0);
            let hear = move |heard: Heard<'_>| {
                if let Some(wire) = wire.upgrade() {
                    wire.talk.hear(&heard);
                }
            };
            self.0.talk.road.start(Breadth::Owners, Arc::new(hear));
        }
    }

    fn open(&self, namespace: &str) -> BusFuture<()> {
        self.0.talk.open(namespace)
    }

    fn close(&self, namespace: &str) {
        self.0.talk.close(namespace);
    }

    fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.0.talk.road.publish(message, self.0.publication(message)?)
    }

    fn respond(&self, asker: &Asker, message: &Message) -> Result<(), BusError> {
        let talk = &self.0.talk;
        let name = asker.name.as_deref().ok_or(BusError::Unsayable)?;
        let body = adapter::encode(message)?;
        let channel = talk.channels(&message.namespace).server(name);
        talk.road.publisher.publish(talk.publication(channel, body))
    }

    fn peers(&self, namespace: &str) -> BusFuture<Peers> {
        self.0.talk.peers(namespace)
    }

    fn state(&self) -> watch::Receiver<State> {
        self.0.talk.road.health.state()
    }

    fn wants_rooms(&self) -> bool {
        self.0.mode != Mode::Static
    }

    fn rooms(&self, namespace: &str, changes: &[RoomChange]) {
        let wire = &*self.0;
        let topic = |room: &str| {
            let channel = || wire.talk.channels(namespace).room(room);
            sharded::has_channel(room, wire.mode).then(|| wire.talk.topic(channel()))
        };
        for change in changes {
            match change {
                RoomChange::Opened(room) => wire.talk.road.subscriber.listen(topic(room)),
                RoomChange::Closed(room) => wire.talk.road.subscriber.leave(topic(room)),
            }
        }
    }

    fn settled(&self, _: &str) -> BusFuture<()> {
        self.0.talk.road.settled()
    }

    fn shutdown(&self) -> BusFuture<()> {
        self.0.talk.road.shutdown()
    }
}

impl Outlet for Wire {
    fn publish(&self, message: &Message) -> BusFuture<()> {
        match self.publication(message) {
            Ok(publication) => self.talk.road.publish_confirmed(publication),
            Err(error) => refuse(error),
        }
    }
}

impl Wire {
    fn publication(&self, message: &Message) -> Result<Publication, BusError> {
        let body = adapter::encode(message)?;
        let channel = self.talk.channels(&message.namespace).of(message, self.mode);
        Ok(self.talk.publication(channel, body))
    }
}

impl fmt::Debug for Sharded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("name", &self.0.talk.name)
            .field("redis", &self.0.talk.road.redis)
            .field("mode", &self.0.mode)
            .finish_non_exhaustive()
    }
}
