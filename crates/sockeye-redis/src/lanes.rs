//! [`Lanes`]: connections to Redis. One, or one to every server of a Redis Cluster.
//!
//! They are opened together and given up together: whoever holds them never has to think about half a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, PushInfo, RedisError,
    RedisResult, Value, cmd,
};

use crate::redis::{Place, Redis};

/// What is called with everything that Redis says unasked. It is called by the task that reads the connection, so it
/// may take its time only at the cost of what comes behind.
pub(crate) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Which servers of a Redis Cluster are needed. Elsewhere there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// Any: what is published to one is heard at all.
    Any,
    /// The masters, each the owner of some slots.
    Owners,
    /// The replicas as well: other servers of ours may be subscribed there.
    All,
}

/// Connections, all of which are there.
#[derive(Clone)]
pub(crate) struct Lanes {
    /// Owners of slots first; never empty.
    lanes: Vec<MultiplexedConnection>,
    /// The first slot of a range, and the lane of its owner. Empty where there are no slots.
    owners: BTreeMap<u16, usize>,
    /// What a lane is asked, to see whether it is still there.
    sentinels: bool,
}

impl Lanes {
    /// Connects.
    pub(crate) async fn open(redis: &Redis, breadth: Breadth, on_push: Option<OnPush>) -> RedisResult<Lanes> {
        let open = |info| open(redis, info, on_push.clone());
        let alone = |lane| Lanes { lanes: vec![lane], owners: BTreeMap::new(), sentinels: false };
        match &redis.place {
            Place::One(info) => Ok(alone(open(info.clone()).await?)),
            Place::Sentinel { sentinels, master, node } => {
                let info = master_of(redis, sentinels, master, node).await?;
                let lanes = Lanes { sentinels: true, ..alone(open(info).await?) };
                // A Sentinel may not have noticed yet.
                lanes.look().await?;
                Ok(lanes)
            }
            Place::Cluster(seeds) => {
                let mut last = nowhere("no server of the cluster is named");
                for seed in starting_anywhere(seeds) {
                    match cluster(redis, seed, breadth, &open).await {
                        Ok(lanes) => return Ok(lanes),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// The lane on which a key, or a channel that belongs to a slot, is found.
    pub(crate) fn of(&self, key: &str) -> usize {
        self.owners.range(..=slot(key.as_bytes())).next_back().map_or(0, |(_, lane)| *lane)
    }

    /// One of them.
    pub(crate) fn lane(&self, at: usize) -> &MultiplexedConnection {
        self.lanes.get(at).unwrap_or(&self.lanes[0])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Says a command on the lane of a key.
    pub(crate) async fn ask(&self, key: &str, command: &redis::Cmd) -> RedisResult<Value> {
        self.lane(self.of(key)).clone().send_packed_command(command).await?.extract_error()
    }

    /// Says a command on all lanes, all at once.
    pub(crate) async fn ask_all(&self, command: &redis::Cmd) -> RedisResult<Vec<Value>> {
        let mut under_way = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            let (mut lane, command) = (lane.clone(), command.clone());
            under_way.push(tokio::spawn(async move { lane.send_packed_command(&command).await }));
        }
        let mut answers = Vec::with_capacity(under_way.len());
        for answer in under_way {
            answers.push(answer.await.map_err(|_| nowhere("the runtime stops"))??.extract_error()?);
        }
        Ok(answers)
    }

    /// Whether all of them are still there, and are what they were.
    pub(crate) async fn look(&self) -> RedisResult<()> {
        if !self.sentinels {
            return self.ask_all(&cmd("PING")).await.map(drop);
        }
        // A master that was put down by Sentinels goes on answering, but nobody else is there any more.
        for answer in self.ask_all(&cmd("ROLE")).await? {
            match answer {
                Value::Array(words) if words.first().is_some_and(|word| text(word) == Some("master")) => {}
                _ => return Err(nowhere("it is not the master any more")),
            }
        }
        Ok(())
    }
}

/// Sends what is in a pipeline on one connection; one answer for each command, errors among them.
pub(crate) async fn send(lane: &MultiplexedConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    lane.clone().send_packed_commands(pipeline, 0, pipeline.len()).await
}

/// The text of an answer.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The numbers in the answer to `PUBSUB NUMSUB`, in the order in which they were asked for. In RESP3 it may be a map.
pub(crate) fn counts(answer: &Value) -> impl Iterator<Item = usize> + '_ {
    let (list, map) = match answer {
        Value::Array(list) => (list.as_slice(), &[][..]),
        Value::Map(map) => (&[][..], map.as_slice()),
        _ => (&[][..], &[][..]),
    };
    let numbers = list.chunks_exact(2).map(|pair| &pair[1]).chain(map.iter().map(|(_, number)| number));
    numbers.map(|number| match number {
        Value::Int(number) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    })
}

/// An error of ours among those of Redis.
pub(crate) fn nowhere(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Client, why))
}

async fn open(
    redis: &Redis,
    info: ConnectionInfo,
    on_push: Option<OnPush>,
) -> RedisResult<MultiplexedConnection> {
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(redis.patience))
        .set_response_timeout(Some(redis.patience));
    if let Some(on_push) = on_push {
        config = config.set_push_sender(move |push| {
            on_push(push);
            Ok::<(), redis::aio::SendError>(())
        });
    }
    client(redis, info)?.get_multiplexed_async_connection_with_config(&config).await
}

#[cfg(feature = "tls")]
fn client(redis: &Redis, info: ConnectionInfo) -> RedisResult<Client> {
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Client::open(info);
    }
    // The library takes the process's provider, and panics where a program links several and has chosen none.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that somebody else was quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    match &redis.certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        None => Client::open(info),
    }
}

#[cfg(not(feature = "tls"))]
fn client(_: &Redis, info: ConnectionInfo) -> RedisResult<Client> {
    Client::open(info)
}

/// Asks Sentinels where the master is; the first that knows is believed.
async fn master_of(
    redis: &Redis,
    sentinels: &[ConnectionInfo],
    master: &str,
    node: &ConnectionInfo,
) -> RedisResult<ConnectionInfo> {
    let mut last = nowhere("no Sentinel is named");
    for sentinel in starting_anywhere(sentinels) {
        let asked = async {
            let mut sentinel = open(redis, sentinel.clone(), None).await?;
            let command = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).take();
            sentinel.send_packed_command(&command).await?.extract_error()
        };
        match asked.await {
            Ok(Value::Array(place)) => match place.as_slice() {
                [host, port] => match (text(host), text(port).and_then(|port| port.parse().ok())) {
                    (Some(host), Some(port)) => return Ok(at(node, host, port)),
                    _ => last = nowhere("a Sentinel answers something else than an address"),
                },
                _ => last = nowhere("a Sentinel answers something else than an address"),
            },
            Ok(_) => last = nowhere("the Sentinels know no master of this name"),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The same, elsewhere.
fn at(like: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    like.clone().set_addr(match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    })
}

/// Asks one server of a cluster for the others.
async fn cluster<F>(
    redis: &Redis,
    seed: &ConnectionInfo,
    breadth: Breadth,
    open_lane: impl Fn(ConnectionInfo) -> F,
) -> RedisResult<Lanes>
where
    F: Future<Output = RedisResult<MultiplexedConnection>>,
{
    if breadth == Breadth::Any {
        let lanes = vec![open_lane(seed.clone()).await?];
        return Ok(Lanes { lanes, owners: BTreeMap::new(), sentinels: false });
    }
    let mut asked = open(redis, seed.clone(), None).await?;
    let slots = asked.send_packed_command(cmd("CLUSTER").arg("SLOTS")).await?.extract_error()?;
    let own = match seed.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    };
    let map = slot_map(&slots, &own).ok_or_else(|| nowhere("the cluster's map of slots cannot be read"))?;
    let mut lanes = Vec::new();
    let mut known: Vec<&(String, u16)> = Vec::new();
    let mut owners = BTreeMap::new();
    for (first, servers) in &map {
        let Some(owner) = servers.first() else { continue };
        let lane = match known.iter().position(|seen| *seen == owner) {
            Some(lane) => lane,
            None => {
                lanes.push(open_lane(at(seed, &owner.0, owner.1)).await?);
                known.push(owner);
                lanes.len() - 1
            }
        };
        owners.insert(*first, lane);
    }
    if lanes.is_empty() {
        return Err(nowhere("nobody in the cluster owns a slot"));
    }
    if breadth == Breadth::All {
        for replica in map.values().flat_map(|servers| servers.iter().skip(1)) {
            if known.contains(&replica) {
                continue;
            }
            known.push(replica);
            // One that is not there has nobody subscribed to it either.
            if let Ok(lane) = open_lane(at(seed, &replica.0, replica.1)).await {
                lanes.push(lane);
            }
        }
    }
    Ok(Lanes { lanes, owners, sentinels: false })
}

/// The answer to `CLUSTER SLOTS`: for the first slot of each range its servers, the owner first.
fn slot_map(slots: &Value, own: &str) -> Option<BTreeMap<u16, Vec<(String, u16)>>> {
    let Value::Array(ranges) = slots else { return None };
    let mut map = BTreeMap::new();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(_), servers @ ..] = range.as_slice() else { return None };
        let mut places = Vec::with_capacity(servers.len());
        for server in servers {
            let Value::Array(server) = server else { return None };
            let [host, Value::Int(port), ..] = server.as_slice() else { return None };
            // Without a name it is the one that we asked.
            let host = text(host).filter(|host| !host.is_empty()).unwrap_or(own);
            places.push((host.to_owned(), u16::try_from(*port).ok()?));
        }
        map.insert(u16::try_from(*first).ok()?, places);
    }
    Some(map)
}

/// All of them, beginning with any: not every server of ours should ask the same one first.
fn starting_anywhere<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let mut dice = [0];
    let _ = getrandom::fill(&mut dice);
    let first = usize::from(dice[0]) % all.len().max(1);
    all.iter().cycle().skip(first).take(all.len())
}

/// The slot of a key: CRC-16 (XMODEM) of it, or of what is between its first braces.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|byte| *byte == b'}').filter(|end| *end > 0).map(|end| &rest[..end])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` of a redis-server 7.0 says.
        for (key, expected) in [
            ("123456789", 12739),
            ("foo", 12182),
            ("{user1000}.following", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("", 0),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn maps_of_slots_are_read_or_refused() {
        let text = |text: &str| Value::BulkString(text.into());
        let server = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, servers: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(first + 1)], servers].concat())
        };
        let map = Value::Array(vec![
            range(0, vec![server(text("a"), 1), server(text("b"), 2)]),
            range(5, vec![server(text(""), 3), server(Value::Nil, 4)]),
        ]);
        let read = slot_map(&map, "self").unwrap();
        assert_eq!(read[&0], [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(read[&5], [("self".to_owned(), 3), ("self".to_owned(), 4)]);
        for wrong in [Value::Nil, Value::Array(vec![Value::Nil]), Value::Array(vec![range(70000, vec![])])] {
            assert!(slot_map(&wrong, "").is_none());
        }
    }
}
