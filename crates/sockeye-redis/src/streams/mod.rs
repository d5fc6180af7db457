//! [`Streams`]: the bus of `@socket.io/redis-streams-adapter`.

mod entries;
mod reader;
mod sessions;
mod writer;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sockeye_cluster::{
    Asker, Bus, BusError, BusFuture, Emitter, Inbox, Log, Message, Outlet, Peers, Restored, Session, State,
};
use sockeye_proto::cluster::{adapter, streams};
use tokio::sync::{oneshot, watch};

use self::reader::Reader;
use self::sessions::Sessions;
use self::writer::{Entry, Writer};
use crate::lanes::Breadth;
use crate::redis::Redis;
use crate::road::refuse;
use crate::subscriber::Heard;
use crate::talk::Talk;

/// A cluster with `@socket.io/redis-streams-adapter` 0.3 and the streams emitter.
///
/// Broadcasts, and what is done to sockets, are entries of a Redis stream: what is said while this server is cut off
/// from Redis is read when it is back, as far as the stream goes. Questions are published, and so need Redis to be
/// there when they are asked.
///
/// The stream is a log, so with connection state recovery a client may come back to any server of the cluster, also
/// after its server has died. Every event then gets its place in the log, which is known only when Redis has it:
/// local clients see their own server's broadcasts after a round trip.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_redis::{Redis, Streams};
///
/// let bus = Streams::new(Redis::new("redis://127.0.0.1")?).stream_name("my-app").channel_prefix("my-app");
/// # Ok(()) }
/// ```
///
/// **When Redis goes away**, what is to be written waits for [`hold`](Self::hold), up to
/// [`max_queued`](Self::max_queued) bytes, and is written when Redis is back: exactly once, since what was on its way
/// is looked for before it is written again. After that it is refused: local clients get it at once, without a place
/// in the log, and the others do not get it.
pub struct Streams(Arc<Wire>);

struct Wire {
    talk: Talk,
    stream_name: String,
    stream_count: u32,
    plain_text: bool,
    settings: Arc<Settings>,
    /// One for each stream that is written to.
    writers: OnceLock<Vec<Arc<Writer>>>,
    /// One for each stream that is read.
    readers: OnceLock<Vec<Arc<Reader>>>,
    sessions: Arc<Sessions>,
}

/// What the parts need to know.
#[derive(Debug, Clone)]
struct Settings {
    max_len: usize,
    read_count: usize,
    block: Duration,
    hold: Duration,
    max_queued: usize,
    session_prefix: String,
}

impl Streams {
    /// A bus to this Redis.
    ///
    /// # Panics
    /// Outside of a tokio runtime: that is where its connections live.
    pub fn new(redis: Redis) -> Streams {
        let settings = Settings {
            max_len: 10_000,
            read_count: 100,
            block: Duration::from_secs(5),
            hold: Duration::from_secs(5),
            max_queued: 8 << 20,
            session_prefix: "sio:session:".to_owned(),
        };
        Streams(Arc::new(Wire {
            talk: Talk::new(redis, false),
            stream_name: "socket.io".to_owned(),
            stream_count: 1,
            plain_text: false,
            settings: Arc::new(settings),
            writers: OnceLock::new(),
            readers: OnceLock::new(),
            sessions: Arc::default(),
        }))
    }

    /// The stream's key (`streamName`). Default `socket.io`.
    #[must_use]
    pub fn stream_name(self, name: impl Into<String>) -> Streams {
        self.with(|wire| wire.stream_name = name.into())
    }

    /// Over how many streams namespaces are distributed (`streamCount`). Default 1.
    #[must_use]
    pub fn stream_count(self, count: u32) -> Streams {
        self.with(|wire| wire.stream_count = count.max(1))
    }

    /// What the names of all channels begin with (`channelPrefix`). Default `socket.io`. Never shared with a cluster
    /// of another kind.
    #[must_use]
    pub fn channel_prefix(self, prefix: impl Into<String>) -> Streams {
        self.with(|wire| wire.talk.prefix = prefix.into())
    }

    /// Whether questions and answers go through sharded channels, which need Redis 7 (`useShardedPubSub`). Default
    /// `false`. All servers must agree.
    #[must_use]
    pub fn sharded_pub_sub(self, yes: bool) -> Streams {
        self.with(|wire| wire.talk.sharded = yes)
    }

    /// About how many entries a stream keeps (`maxLen`). Default 10,000.
    #[must_use]
    pub fn max_len(self, entries: usize) -> Streams {
        self.set(|settings| settings.max_len = entries.max(1))
    }

    /// How many entries are read at once (`readCount`). Default 100.
    #[must_use]
    pub fn read_count(self, entries: usize) -> Streams {
        self.set(|settings| settings.read_count = entries.max(1))
    }

    /// How long one wait for new entries lasts (`blockTimeInMs`). Default 5 s.
    #[must_use]
    pub fn block_time(self, time: Duration) -> Streams {
        self.set(|settings| settings.block = time.max(Duration::from_millis(1)))
    }

    /// What the keys of lost sessions begin with (`sessionKeyPrefix`). Default `sio:session:`.
    #[must_use]
    pub fn session_key_prefix(self, prefix: impl Into<String>) -> Streams {
        self.set(|settings| settings.session_prefix = prefix.into())
    }

    /// Whether entries are JSON even where there is binary data, which then arrives as objects (`onlyPlaintext`).
    /// Default `false`.
    #[must_use]
    pub fn only_plain_text(self, yes: bool) -> Streams {
        self.with(|wire| wire.plain_text = yes)
    }

    /// How long a message waits for Redis to come back. Default 5 s; see above.
    #[must_use]
    pub fn hold(self, time: Duration) -> Streams {
        self.set(|settings| settings.hold = time)
    }

    /// Bytes that may wait for Redis, away or slow, before more is refused. Default 8 MiB, for each stream.
    #[must_use]
    pub fn max_queued(self, bytes: usize) -> Streams {
        self.0.talk.road.publisher.set_limit(bytes);
        self.set(|settings| settings.max_queued = bytes)
    }

    /// How many messages were taken and then not written or not confirmed by Redis.
    pub fn lost(&self) -> u64 {
        self.0.talk.road.publisher.lost()
    }

    /// What a process without a server sends with, as the streams emitter does.
    pub fn emitter(self) -> Emitter {
        self.0.talk.road.start_publisher();
        self.0.start_writers(None);
        Emitter::new(self.0)
    }

    /// Settings are made before anybody else holds it.
    fn with(mut self, change: impl FnOnce(&mut Wire)) -> Streams {
        if let Some(wire) = Arc::get_mut(&mut self.0) {
            change(wire);
        }
        self
    }

    fn set(self, change: impl FnOnce(&mut Settings)) -> Streams {
        self.with(|wire| change(Arc::make_mut(&mut wire.settings)))
    }
}

impl Bus for Streams {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.talk.name)
    }

    fn start(&self, inbox: Inbox) {
        let wire = &self.0;
        if wire.talk.inbox.set(inbox.clone()).is_err() {
            return;
        }
        // Its own tasks do not keep it alive.
        let heard = Arc::downgrade(wire);
        let hear = move |message: Heard<'_>| {
            if let Some(wire) = heard.upgrade() {
                wire.talk.hear(&message);
            }
        };
        let breadth = if wire.talk.sharded { Breadth::Owners } else { Breadth::Any };
        wire.talk.road.start(breadth, Arc::new(hear));
        wire.start_writers(Some(&inbox));
        wire.start_readers(&inbox);
    }

    fn open(&self, namespace: &str) -> BusFuture<()> {
        let heard = self.0.talk.open(namespace);
        let begun: Vec<_> = self.0.readers.get().into_iter().flatten().map(|reader| reader.begun()).collect();
        let health = Arc::clone(&self.0.talk.road.health);
        Box::pin(async move {
            heard.await?;
            let all = async {
                for begun in begun {
                    begun.await;
                }
            };
            tokio::select! {
                biased;
                () = all => Ok(()),
                () = health.closed() => Err(BusError::Closed),
            }
        })
    }

    fn close(&self, namespace: &str) {
        self.0.talk.close(namespace);
    }

    fn publish(&self, message: &Message) -> Result<(), BusError> {
        let wire = &*self.0;
        if streams::is_durable(message) {
            let fields = streams::Fields::of(message, wire.plain_text)?;
            return wire.writer_of(&message.namespace)?.take(Entry::of_server(fields, message));
        }
        let body = adapter::encode_msgpack(message)?;
        let channel = wire.talk.channels(&message.namespace).all();
        wire.talk.road.publish(message, wire.talk.publication(channel, body))
    }

    fn respond(&self, asker: &Asker, message: &Message) -> Result<(), BusError> {
        let talk = &self.0.talk;
        let name = asker.name.as_deref().ok_or(BusError::Unsayable)?;
        let body = adapter::encode_msgpack(message)?;
        let channel = talk.channels(&message.namespace).server(name);
        talk.road.publisher.publish(talk.publication(channel, body))
    }

    fn peers(&self, namespace: &str) -> BusFuture<Peers> {
        self.0.talk.peers(namespace)
    }

    fn state(&self) -> watch::Receiver<State> {
        self.0.talk.road.health.state()
    }

    fn log(&self) -> Option<&dyn Log> {
        Some(self)
    }

    fn shutdown(&self) -> BusFuture<()> {
        let writers: Vec<_> = self.0.writers.get().into_iter().flatten().cloned().collect();
        let (health, road) = (Arc::clone(&self.0.talk.road.health), self.0.talk.road.shutdown());
        let sessions = Arc::clone(&self.0.sessions);
        Box::pin(async move {
            if health.state().borrow().is_up() {
                let all = async {
                    for writer in writers {
                        writer.drained().await;
                    }
                    sessions.kept().await;
                };
                // What is not written by then is given back.
                let _ = tokio::time::timeout(crate::road::GOODBYE, all).await;
            }
            road.await
        })
    }
}

impl Log for Streams {
    fn persist(&self, session: Session, window: Duration) -> BusFuture<()> {
        let wire = &self.0;
        let key = format!("{}{}", wire.settings.session_prefix, session.pid);
        let road = &wire.talk.road;
        if road.health.is_closed() {
            return refuse(BusError::Closed);
        }
        wire.sessions.keep(road, key, session.encode(), window)
    }

    fn restore(
        &self,
        namespace: &str,
        secret: &str,
        offset: &str,
        most: usize,
    ) -> BusFuture<Option<Restored>> {
        let wire = &self.0;
        let lanes = match wire.talk.road.publisher.lanes() {
            Ok(lanes) => lanes,
            Err(error) => return refuse(error),
        };
        let wanted = sessions::Wanted {
            key: format!("{}{secret}", wire.settings.session_prefix),
            stream: streams::stream_of(&wire.stream_name, wire.stream_count, namespace),
            namespace: namespace.into(),
            offset: offset.to_owned(),
            most,
            limits: wire.talk.limits.clone(),
        };
        let found = wire.talk.road.runtime.spawn(async move { wanted.find(&lanes).await });
        Box::pin(async move {
            found.await.map_err(|_| BusError::Closed)?.map_err(|error| BusError::other(&error))
        })
    }
}

impl Outlet for Wire {
    fn publish(&self, message: &Message) -> BusFuture<()> {
        let (sender, done) = oneshot::channel();
        let taken = streams::Fields::of(message, self.plain_text)
            .map_err(BusError::from)
            .and_then(|fields| self.writer_of(&message.namespace)?.take(Entry::of_emitter(fields, sender)));
        Box::pin(async move {
            taken?;
            done.await.unwrap_or(Err(BusError::Closed))
        })
    }
}

impl Wire {
    fn start_writers(&self, inbox: Option<&Inbox>) {
        let road = &self.talk.road;
        let names = match self.stream_count {
            1 => vec![self.stream_name.clone()],
            count => (0..count).map(|number| format!("{}-{number}", self.stream_name)).collect(),
        };
        let writers = names.into_iter().map(|stream| {
            let (settings, health) = (Arc::clone(&self.settings), Arc::clone(&road.health));
            let writer = Writer::new(stream, settings, health, Arc::clone(&road.publisher), inbox.cloned());
            let writer = Arc::new(writer);
            road.runtime.spawn(Arc::clone(&writer).run());
            writer
        });
        let _ = self.writers.set(writers.collect());
    }

    fn start_readers(&self, inbox: &Inbox) {
        let road = &self.talk.road;
        let readers = streams::streams(&self.stream_name, self.stream_count).into_iter().map(|stream| {
            let reader = Reader::new(stream, Arc::clone(&self.settings), self.talk.limits.clone());
            let reader = Arc::new(reader);
            let (health, part) = (Arc::clone(&road.health), road.health.part());
            road.runtime.spawn(Arc::clone(&reader).run(road.redis.clone(), health, part, inbox.clone()));
            reader
        });
        let _ = self.readers.set(readers.collect());
    }

    fn writer_of(&self, namespace: &str) -> Result<&Writer, BusError> {
        let stream = streams::stream_of(&self.stream_name, self.stream_count, namespace);
        let mut writers = self.writers.get().into_iter().flatten();
        writers.find(|writer| writer.stream() == stream).map(|writer| &**writer).ok_or(BusError::Closed)
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("name", &self.0.talk.name)
            .field("redis", &self.0.talk.road.redis)
            .field("stream", &self.0.stream_name)
            .finish_non_exhaustive()
    }
}
