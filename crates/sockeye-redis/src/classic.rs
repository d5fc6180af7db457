//! [`Classic`]: the bus of `@socket.io/redis-adapter`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use sockeye_cluster::{Asker, Body, Bus, BusError, BusFuture, Emitter, Inbox, Message, Outlet, Peers, State};
use sockeye_proto::cluster::Limits;
use sockeye_proto::cluster::classic::{self, Channels, Generation};
use tokio::sync::watch;

use crate::lanes::Breadth;
use crate::publisher::Publication;
use crate::redis::Redis;
use crate::road::Road;
use crate::subscriber::{Heard, Topic};

/// A cluster with `@socket.io/redis-adapter` 7 and 8 (`createAdapter`), their ancestors as far back as
/// `socket.io-redis` 5, and their emitters.
///
/// Broadcasts and questions go through plain `PUBLISH`, so any Redis will do, and a Redis Cluster as well, where each
/// message visits every server of Redis.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_redis::{Classic, Redis};
///
/// let bus = Classic::new(Redis::new("redis://127.0.0.1")?).key("my-app");
/// # Ok(()) }
/// ```
///
/// What Redis cannot be told is kept and sent when it is back, up to [`max_queued`](Self::max_queued); what does not
/// fit is refused. Questions are refused at once while Redis is away. What other servers published meanwhile is lost:
/// this kind has no log, and a connection is recovered only by the server that it was on.
///
/// Of other servers it is known how many there are and not who they are: answers carry no name.
pub struct Classic(Arc<Wire>);

struct Wire {
    road: Road,
    name: Arc<str>,
    /// How every broadcast of our own begins.
    own: Vec<u8>,
    key: String,
    specific: bool,
    peers: classic::Peers,
    limits: Limits,
    inbox: OnceLock<Inbox>,
    /// What the things that are listened to are for.
    topics: RwLock<Topics>,
}

/// By channel or pattern: what for, and the namespace.
type Topics = HashMap<Arc<str>, (Purpose, Arc<str>)>;

#[derive(Clone, Copy)]
enum Purpose {
    Broadcasts,
    Requests,
    Responses,
}

impl Classic {
    /// A bus to this Redis.
    ///
    /// # Panics
    /// Outside of a tokio runtime: that is where its connections live.
    pub fn new(redis: Redis) -> Classic {
        let name = sockeye_cluster::short();
        let mut own = vec![0x93, 0xa0 | name.len() as u8];
        own.extend(name.bytes());
        Classic(Arc::new(Wire {
            road: Road::new(redis),
            name: name.into(),
            own,
            key: "socket.io".to_owned(),
            specific: true,
            peers: classic::Peers::default(),
            limits: Limits::default(),
            inbox: OnceLock::new(),
            topics: RwLock::default(),
        }))
    }

    /// What the names of all channels begin with; the option `key` of Node's adapter. Default `socket.io`. Never
    /// shared with a cluster of another kind: what those publish kills Node's classic servers.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Classic {
        self.with(|wire| wire.key = key.into())
    }

    /// Whether answers go to the asker alone, where it is known to listen (`publishOnSpecificResponseChannel`).
    /// Default `true`, other than Node's: every server that says who it is listens on a channel of its own.
    #[must_use]
    pub fn publish_on_specific_response_channel(self, yes: bool) -> Classic {
        self.with(|wire| wire.specific = yes)
    }

    /// Whether all other servers are 7.2 or newer, so that questions about clients and their answers may be
    /// MessagePack, as Node's are. Default `false`: JSON wherever it loses nothing, because 7.1 and older cannot read
    /// anything else and some of them die of it.
    #[must_use]
    pub fn only_current_peers(self, yes: bool) -> Classic {
        self.with(|wire| wire.peers = if yes { classic::Peers::Current } else { classic::Peers::Any })
    }

    /// Bytes that may wait for Redis, away or slow, before more is refused. Default 8 MiB.
    #[must_use]
    pub fn max_queued(self, bytes: usize) -> Classic {
        self.0.road.publisher.set_limit(bytes);
        self
    }

    /// How many publications were taken, and then not confirmed by Redis: the connection was lost while they were on
    /// their way, or Redis refused them.
    pub fn lost(&self) -> u64 {
        self.0.road.publisher.lost()
    }

    /// What a process without a server sends with, as `@socket.io/redis-emitter` does.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use sockeye_redis::{Classic, Redis};
    ///
    /// let emitter = Classic::new(Redis::new("redis://127.0.0.1")?).emitter();
    /// emitter.to("room").emit("news", "salmon return").await?;
    /// # Ok(()) }
    /// ```
    pub fn emitter(self) -> Emitter {
        self.0.road.start_publisher();
        Emitter::new(self.0)
    }

    /// Settings are made before anybody else holds it.
    fn with(mut self, change: impl FnOnce(&mut Wire)) -> Classic {
        if let Some(wire) = Arc::get_mut(&mut self.0) {
            change(wire);
        }
        self
    }
}

impl Bus for Classic {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.name)
    }

    fn start(&self, inbox: Inbox) {
        if self.0.inbox.set(inbox).is_ok() {
            // Its own tasks do not keep it alive.
            let wire = Arc::downgrade(&self.0);
            let hear = move |heard: Heard<'_>| {
                if let Some(wire) = wire.upgrade() {
                    wire.hear(&heard);
                }
            };
            self.0.road.start(Breadth::Any, Arc::new(hear));
        }
    }

    fn open(&self, namespace: &str) -> BusFuture<()> {
        let topics = self.0.topics_of(namespace);
        let namespace: Arc<str> = namespace.into();
        let mut known = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
        for (topic, purpose) in &topics {
            known.insert(Arc::clone(topic.name()), (*purpose, Arc::clone(&namespace)));
        }
        drop(known);
        self.0.road.subscriber.listen(topics.into_iter().map(|(topic, _)| topic));
        self.0.road.settled()
    }

    fn close(&self, namespace: &str) {
        let topics = self.0.topics_of(namespace);
        let mut known = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
        for (topic, _) in &topics {
            known.remove(topic.name());
        }
        drop(known);
        self.0.road.subscriber.leave(topics.into_iter().map(|(topic, _)| topic));
    }

    fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.0.road.publish(message, self.0.publication(message)?)
    }

    fn respond(&self, asker: &Asker, message: &Message) -> Result<(), BusError> {
        let wire = &*self.0;
        let generation = if asker.mark == OLD { Generation::Five } else { Generation::Current };
        let body = classic::encode_response(message, generation, wire.peers)?;
        let channels = wire.channels(&message.namespace);
        let channel = match (&message.body, &asker.name) {
            // The first version that says who asks for these does not listen there yet.
            (Body::ServerEventAck { .. }, _) => channels.response(),
            (_, Some(name)) if wire.specific && generation == Generation::Current => {
                channels.response_to(name)
            }
            _ => channels.response(),
        };
        wire.road.publisher.publish(Publication::new(channel, body, false))
    }

    fn peers(&self, namespace: &str) -> BusFuture<Peers> {
        let publisher = Arc::clone(&self.0.road.publisher);
        let channel = self.0.channels(namespace).request();
        Box::pin(async move { Ok(Peers::Count(publisher.listeners(channel, false).await?)) })
    }

    fn state(&self) -> watch::Receiver<State> {
        self.0.road.health.state()
    }

    fn shutdown(&self) -> BusFuture<()> {
        self.0.road.shutdown()
    }
}

impl Outlet for Wire {
    fn publish(&self, message: &Message) -> BusFuture<()> {
        match self.publication(message) {
            Ok(publication) => self.road.publish_confirmed(publication),
            Err(error) => crate::road::refuse(error),
        }
    }
}

impl Wire {
    fn channels<'a>(&'a self, namespace: &'a str) -> Channels<'a> {
        Channels { prefix: &self.key, namespace }
    }

    /// What a namespace listens to. Each exactly once for each server: other servers count them.
    fn topics_of(&self, namespace: &str) -> [(Topic, Purpose); 4] {
        let channels = self.channels(namespace);
        [
            (Topic::Pattern(channels.pattern().into()), Purpose::Broadcasts),
            (Topic::Channel(channels.response().into()), Purpose::Responses),
            (Topic::Channel(channels.response_to(&self.name).into()), Purpose::Responses),
            // Last, because who is counted by it is asked: answers and broadcasts are heard by then.
            (Topic::Channel(channels.request().into()), Purpose::Requests),
        ]
    }

    fn publication(&self, message: &Message) -> Result<Publication, BusError> {
        let channels = self.channels(&message.namespace);
        let (channel, body) = match &message.body {
            Body::Broadcast { options, request: None, .. } => {
                (channels.broadcast(options), classic::encode_broadcast(message)?)
            }
            _ => (channels.request(), classic::encode_request(message, self.peers)?),
        };
        Ok(Publication::new(channel, body, false))
    }

    /// A message came.
    fn hear(&self, heard: &Heard<'_>) {
        let Some(inbox) = self.inbox.get() else { return };
        let known = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let Some((purpose, namespace)) = known.get(heard.topic).cloned() else { return };
        drop(known);
        let read = match purpose {
            Purpose::Broadcasts => match self.broadcast(heard, &namespace, inbox) {
                Some(read) => read.map(|message| {
                    // Patterns match the channels of other namespaces as well, which hear it themselves.
                    if message.namespace == namespace {
                        inbox.message(message);
                    }
                }),
                None => return,
            },
            Purpose::Requests => {
                classic::decode_request(heard.payload, &namespace, &self.limits).map(|asked| {
                    let mark = if asked.generation == Generation::Five { OLD } else { 0 };
                    let asker = Asker { name: asked.message.from.clone(), mark };
                    inbox.asked(asked.message, asker);
                })
            }
            Purpose::Responses => classic::decode_response(heard.payload, &namespace, &self.limits)
                .map(|message| inbox.message(message)),
        };
        if let Err(why) = read {
            inbox.refused(&why);
        }
    }

    /// Reads a broadcast, unless nobody here is meant by it.
    fn broadcast(
        &self,
        heard: &Heard<'_>,
        namespace: &str,
        inbox: &Inbox,
    ) -> Option<Result<Message, sockeye_cluster::Refused>> {
        let room = self.channels(namespace).room(heard.channel)?;
        let nobody = !room.is_empty() && !inbox.has_room(namespace, room);
        // Our own comes back as well; that it is ours can be seen without reading it.
        if nobody || heard.payload.starts_with(&self.own) {
            return None;
        }
        Some(classic::decode_broadcast(heard.payload, &self.limits))
    }
}

impl fmt::Debug for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classic")
            .field("name", &self.0.name)
            .field("redis", &self.0.road.redis)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

/// Marks who asks in the words of version 5.
const OLD: u32 = 5;
