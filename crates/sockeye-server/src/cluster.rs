//! The cluster that a server is one of: settings to a bus, and the bus's state to text.

use std::fmt;
use std::path::PathBuf;

use sockeye::ServerBuilder;
use sockeye::cluster::State;

use crate::StartError;

/// The cluster that a server is one of.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Where Redis is: a URL as `sockeye_redis::Redis` takes them. May hold a password, so [`Debug`] leaves it out.
    pub redis: String,
    /// Which of Node's adapters the other servers use.
    pub adapter: Adapter,
    /// What the names of channels, and of the stream, begin with. Default `socket.io`, as Node's.
    pub key: String,
    /// PEM file with the authority that signed Redis's certificate. `None`, the default: the system's.
    pub certificate_authority: Option<PathBuf>,
    /// Whether headers, query and auth of clients are told to the other servers that ask. Default false.
    pub share_handshake: bool,
}

/// Which of Node's adapters a cluster uses. All of its servers use the same one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adapter {
    /// `createAdapter` of `@socket.io/redis-adapter`.
    #[default]
    Classic,
    /// `createShardedAdapter` of the same, with a channel for each room: Redis 7.
    Sharded,
    /// `@socket.io/redis-streams-adapter`: connections are recovered by any server.
    Streams,
}

impl ClusterConfig {
    /// A classic one.
    pub fn new(redis: impl Into<String>) -> Self {
        Self {
            redis: redis.into(),
            adapter: Adapter::default(),
            key: "socket.io".into(),
            certificate_authority: None,
            share_handshake: false,
        }
    }

    /// Has the server join.
    #[cfg(feature = "redis")]
    pub(crate) fn join(&self, builder: ServerBuilder) -> Result<ServerBuilder, StartError> {
        use sockeye_redis::{Classic, Redis, Sharded, Streams};

        let redis =
            Redis::new(&self.redis).map_err(|error| StartError::Settings(format!("--redis: {error}")))?;
        let redis = self.trusting(redis)?;
        let builder = builder.share_handshake(self.share_handshake);
        Ok(match self.adapter {
            Adapter::Classic => builder.adapter(Classic::new(redis).key(&self.key)),
            Adapter::Sharded => builder.adapter(Sharded::new(redis).channel_prefix(&self.key)),
            Adapter::Streams => {
                builder.adapter(Streams::new(redis).channel_prefix(&self.key).stream_name(&self.key))
            }
        })
    }

    #[cfg(not(feature = "redis"))]
    pub(crate) fn join(&self, _: ServerBuilder) -> Result<ServerBuilder, StartError> {
        Err(StartError::Settings(
            "this build has no Redis; build sockeye-server with its `redis` feature".into(),
        ))
    }

    #[cfg(all(feature = "redis", feature = "tls"))]
    fn trusting(&self, redis: sockeye_redis::Redis) -> Result<sockeye_redis::Redis, StartError> {
        let Some(path) = &self.certificate_authority else { return Ok(redis) };
        let what = "certificate authority";
        let pem =
            std::fs::read(path).map_err(|source| StartError::TlsFile { what, path: path.clone(), source })?;
        Ok(redis.certificate_authority(pem))
    }

    #[cfg(all(feature = "redis", not(feature = "tls")))]
    fn trusting(&self, redis: sockeye_redis::Redis) -> Result<sockeye_redis::Redis, StartError> {
        if self.certificate_authority.is_some() { Err(StartError::NoTls) } else { Ok(redis) }
    }

    /// Where it is and of which kind, without a password.
    #[cfg(feature = "redis")]
    fn place(&self) -> String {
        sockeye_redis::Redis::new(&self.redis).map_or_else(|_| "?".to_owned(), |redis| redis.to_string())
    }

    #[cfg(not(feature = "redis"))]
    fn place(&self) -> String {
        "?".to_owned()
    }
}

impl fmt::Display for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, {}", self.key, self.place(), self.adapter)
    }
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterConfig({self})")
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Sharded => "sharded",
            Self::Streams => "streams",
        })
    }
}

/// The state of the bus as `/readyz` tells it. A cause may name hosts; whoever should not read it is kept from
/// `/readyz` by whatever stands before this server.
pub(crate) fn tell(state: &State) -> String {
    match state {
        State::Up => "up".to_owned(),
        State::Connecting => "connecting".to_owned(),
        State::Down { since, cause } => {
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            format!("down for {seconds} s: {cause}")
        }
        _ => "closed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_password() {
        let config = ClusterConfig::new("redis://user:secret@redis:6379/2");
        for shown in [format!("{config}"), format!("{config:?}")] {
            assert!(!shown.contains("secret") && shown.contains("classic"), "{shown}");
        }
    }

    #[test]
    fn states_are_told() {
        assert_eq!(tell(&State::Up), "up");
        assert_eq!(tell(&State::down("no route")), "down for 0 s: no route");
    }
}
