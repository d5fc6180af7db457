//! [`Talk`]: the channels that the sharded and the streams kind have in common: one for all servers of a namespace and
//! one for each, in the words of Node's `ClusterAdapter`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use redis::{Value, cmd};
use sockeye_cluster::{BusError, BusFuture, Inbox, Peers};
use sockeye_proto::cluster::sharded::Channels;
use sockeye_proto::cluster::{Limits, adapter};

use crate::lanes::{self, Lanes};
use crate::publisher::Publication;
use crate::redis::Redis;
use crate::road::Road;
use crate::subscriber::{Heard, Topic};

/// What servers say to all others and to one.
pub(crate) struct Talk {
    pub(crate) road: Road,
    pub(crate) name: Arc<str>,
    pub(crate) prefix: String,
    /// By `SPUBLISH` and `SSUBSCRIBE`.
    pub(crate) sharded: bool,
    pub(crate) limits: Limits,
    pub(crate) inbox: OnceLock<Inbox>,
    /// The other servers of each namespace, as they were found last.
    known: Arc<Mutex<Known>>,
}

type Known = HashMap<Arc<str>, HashSet<Arc<str>>>;

impl Talk {
    pub(crate) fn new(redis: Redis, sharded: bool) -> Talk {
        Talk {
            road: Road::new(redis),
            name: sockeye_cluster::hex().into(),
            prefix: "socket.io".to_owned(),
            sharded,
            limits: Limits::default(),
            inbox: OnceLock::new(),
            known: Arc::default(),
        }
    }

    pub(crate) fn channels<'a>(&'a self, namespace: &'a str) -> Channels<'a> {
        Channels { prefix: &self.prefix, namespace }
    }

    /// A channel to be listened to.
    pub(crate) fn topic(&self, channel: String) -> Topic {
        if self.sharded { Topic::Shard(channel.into()) } else { Topic::Channel(channel.into()) }
    }

    pub(crate) fn publication(&self, channel: String, body: Vec<u8>) -> Publication {
        Publication::new(channel, body, self.sharded)
    }

    pub(crate) fn open(&self, namespace: &str) -> BusFuture<()> {
        self.road.subscriber.listen(self.topics_of(namespace));
        self.road.settled()
    }

    pub(crate) fn close(&self, namespace: &str) {
        self.road.subscriber.leave(self.topics_of(namespace));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }

    fn topics_of(&self, namespace: &str) -> [Topic; 2] {
        let channels = self.channels(namespace);
        // The one by which servers are counted comes last: answers are heard by then.
        [self.topic(channels.server(&self.name)), self.topic(channels.all())]
    }

    /// A message came.
    pub(crate) fn hear(&self, heard: &Heard<'_>) {
        let Some(inbox) = self.inbox.get() else { return };
        // What the sender leaves out, the channel says: a namespace, and a room or a server behind it.
        let namespace = heard.channel.get(self.prefix.len() + 1..).unwrap_or("");
        let namespace = namespace.split('#').next().unwrap_or("");
        match adapter::decode(heard.payload, namespace, &self.limits) {
            Ok(message) => inbox.message(message),
            Err(why) => inbox.refused(&why),
        }
    }

    /// Who else has a namespace.
    pub(crate) fn peers(&self, namespace: &str) -> BusFuture<Peers> {
        let lanes = self.road.publisher.lanes();
        let channels = self.channels(namespace);
        let asks = Asks {
            namespace: namespace.into(),
            all: channels.all(),
            own: Arc::clone(&self.name),
            sharded: self.sharded,
            known: Arc::clone(&self.known),
        };
        Box::pin(async move { asks.who(&lanes?).await.map_err(|error| BusError::other(&error)) })
    }
}

/// A question to Redis: which servers listen?
struct Asks {
    namespace: Arc<str>,
    all: String,
    own: Arc<str>,
    sharded: bool,
    known: Arc<Mutex<Known>>,
}

impl Asks {
    /// Each server listens to the channel of all and to one with its name. So those of whom we know can be counted;
    /// only if that does not come out even, Redis has to go through all channels to find their names.
    async fn who(&self, lanes: &Lanes) -> redis::RedisResult<Peers> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&self.namespace).cloned();
        let known: Vec<Arc<str>> = known.into_iter().flatten().collect();
        let mut command = cmd("PUBSUB");
        command.arg(if self.sharded { "SHARDNUMSUB" } else { "NUMSUB" }).arg(&*self.all);
        for name in &known {
            command.arg(self.channel_of(name));
        }
        let mut counts = vec![0; known.len() + 1];
        for answer in lanes.ask_all(&command).await? {
            for (sum, count) in counts.iter_mut().zip(lanes::counts(&answer)) {
                *sum += count;
            }
        }
        let there = known.into_iter().zip(&counts[1..]).filter(|(_, count)| **count > 0);
        let there: Vec<Arc<str>> = there.map(|(name, _)| name).collect();
        if there.len() + 1 == counts[0] {
            return Ok(Peers::Named(there));
        }
        let found = self.find(lanes).await;
        // More names than servers: a room is called like one. Then we know how many there are and not who.
        let Some(found) = found.filter(|found| found.len() < counts[0].max(1)) else {
            return Ok(Peers::Count(counts[0]));
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(Arc::clone(&self.namespace), found.clone());
        Ok(Peers::Named(found.into_iter().collect()))
    }

    /// The names of all other servers; nothing if Redis does not want to tell.
    async fn find(&self, lanes: &Lanes) -> Option<HashSet<Arc<str>>> {
        let mut pattern = String::new();
        for character in self.all.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern += &"[0-9a-f]".repeat(16);
        pattern.push('#');
        let list = if self.sharded { "SHARDCHANNELS" } else { "CHANNELS" };
        let answers = lanes.ask_all(&cmd("PUBSUB").arg(list).arg(pattern).take()).await.ok()?;
        let mut found = HashSet::new();
        for answer in answers {
            let (Value::Array(channels) | Value::Set(channels)) = answer else { return None };
            let names = channels.iter().filter_map(lanes::text);
            let names = names.filter_map(|channel| channel.strip_prefix(&self.all)?.strip_suffix('#'));
            found.extend(names.filter(|name| **name != *self.own).map(Arc::from));
        }
        Some(found)
    }

    fn channel_of(&self, name: &str) -> String {
        format!("{}{name}#", self.all)
    }
}
