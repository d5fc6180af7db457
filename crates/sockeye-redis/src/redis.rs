//! [`Redis`]: where Redis is and how it is reached.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

/// Where Redis is and how it is reached: one server, a Redis Cluster, or whatever server Sentinels say is the master.
///
/// | URL | |
/// |---|---|
/// | `redis://[user:password@]host[:port][/db]` | one server; `rediss://` with TLS, `unix:///path` by a socket |
/// | `redis-cluster://[user:password@]host:port,host:port` | a Redis Cluster, by any of its servers; `rediss-cluster://` |
/// | `redis-sentinel://[user:password@]host:port,host:port/master[/db]` | the master of that name, asked of these Sentinels; `rediss-sentinel://`. User and password are the server's; the Sentinels' own go into `?sentinel-user=…&sentinel-password=…` |
///
/// Redis 6 or Valkey, or newer, since all is said in RESP3; the sharded kind needs Redis 7. What is special in a user
/// or a password is percent-encoded. A password never appears in a log or in [`Debug`].
///
/// ```
/// # fn main() -> Result<(), sockeye_redis::UrlError> {
/// let redis: sockeye_redis::Redis = "redis-cluster://10.0.0.1:7000,10.0.0.2:7000".parse()?;
/// assert_eq!(redis.to_string(), "redis-cluster://10.0.0.1:7000,10.0.0.2:7000");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Redis {
    pub(crate) place: Place,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<redis::TlsCertificates>,
    pub(crate) patience: Duration,
    pub(crate) heartbeat: Duration,
}

/// What a URL names.
#[derive(Clone)]
pub(crate) enum Place {
    One(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        /// How the master is spoken to, wherever it is; its address is never used.
        node: ConnectionInfo,
    },
}

/// Why a text does not say where Redis is. Holds nothing of the text: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a Redis: {0}")]
pub struct UrlError(String);

impl Redis {
    /// Reads a URL.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn new(url: &str) -> Result<Redis, UrlError> {
        Ok(Redis {
            place: Place::new(url)?,
            #[cfg(feature = "tls")]
            certificates: None,
            patience: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
        })
    }

    /// Trusts what this certificate authority signed, instead of what the system trusts. PEM.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate_authority(mut self, pem: Vec<u8>) -> Redis {
        self.certificates().root_cert = Some(pem);
        self
    }

    /// Shows this certificate to Redis. Both PEM.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(mut self, certificate: Vec<u8>, key: Vec<u8>) -> Redis {
        let pair = redis::ClientTlsConfig { client_cert: certificate, client_key: key };
        self.certificates().client_tls = Some(pair);
        self
    }

    /// How long a connection may take to be made, and Redis to answer, before it counts as lost. Default 5 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Redis {
        self.patience = patience;
        self
    }

    /// How often an idle connection is looked after. Default 5 s: a Redis that is gone without a word is noticed
    /// within this and [`patience`](Self::patience).
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Redis {
        self.heartbeat = heartbeat.max(Duration::from_millis(10));
        self
    }

    #[cfg(feature = "tls")]
    fn certificates(&mut self) -> &mut redis::TlsCertificates {
        self.certificates.get_or_insert(redis::TlsCertificates { client_tls: None, root_cert: None })
    }
}

impl FromStr for Redis {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Redis, UrlError> {
        Redis::new(url)
    }
}

impl Place {
    fn new(url: &str) -> Result<Place, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| UrlError("it has no scheme".into()))?;
        let (base, kind) = match scheme.split_once('-') {
            Some((base @ ("redis" | "rediss"), kind)) => (base, kind),
            Some(_) => return Err(UrlError("unknown scheme".into())),
            None => return Ok(Place::One(info(url)?)),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match hosts.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), hosts),
        };
        let each = |user: &str, path: &str| -> Result<Vec<ConnectionInfo>, UrlError> {
            hosts.split(',').map(|host| info(&format!("{base}://{user}{host}/{path}"))).collect()
        };
        match kind {
            "cluster" if path.is_empty() && query.is_empty() => Ok(Place::Cluster(each(&user, "")?)),
            "cluster" => Err(UrlError("a Redis Cluster has neither a path nor a query".into())),
            "sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(UrlError("the name of the master is missing behind the Sentinels".into()));
                }
                let asked = sentinels_user(query)?;
                let node = each(&user, db)?.swap_remove(0);
                // Sentinels listen on another port than servers do.
                let sentinels = hosts.split(',').map(|host| {
                    let port = if host.rsplit(']').next().is_some_and(|host| host.contains(':')) {
                        ""
                    } else {
                        ":26379"
                    };
                    info(&format!("{base}://{asked}{host}{port}"))
                });
                Ok(Place::Sentinel {
                    sentinels: sentinels.collect::<Result<_, _>>()?,
                    master: master.to_owned(),
                    node,
                })
            }
            _ => Err(UrlError("unknown scheme".into())),
        }
    }
}

/// `user:password@` for Sentinels, out of a query.
fn sentinels_user(query: &str) -> Result<String, UrlError> {
    let (mut user, mut password) = ("", None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel-user", value)) => user = value,
            Some(("sentinel-password", value)) => password = Some(value),
            _ => return Err(UrlError("only sentinel-user and sentinel-password can follow a `?`".into())),
        }
    }
    Ok(match password {
        Some(password) => format!("{user}:{password}@"),
        None => String::new(),
    })
}

/// One server, spoken to in our way.
fn info(url: &str) -> Result<ConnectionInfo, UrlError> {
    let info = url.into_connection_info().map_err(|error| UrlError(why(&error).to_owned()))?;
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(
        TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)),
    );
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("sockeye-redis", env!("CARGO_PKG_VERSION"));
    Ok(info.set_tcp_settings(tcp).set_redis_settings(settings))
}

/// In words of ours: those of the library may repeat the URL.
fn why(error: &redis::RedisError) -> &'static str {
    match error.to_string() {
        text if text.contains("did not parse") => {
            "its scheme is unknown, or its parts are not where they belong"
        }
        text if text.contains("database") => "what follows the host is not the number of a database",
        text if text.contains("TLS") => "this program was built without TLS",
        _ => "it has something that is not understood",
    }
}

impl fmt::Display for Redis {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = |info: &ConnectionInfo| match info.addr() {
            redis::ConnectionAddr::TcpTls { .. } => "s",
            _ => "",
        };
        let list = |infos: &[ConnectionInfo]| {
            infos.iter().map(|info| info.addr().to_string()).collect::<Vec<_>>().join(",")
        };
        match &self.place {
            Place::One(info) if matches!(info.addr(), redis::ConnectionAddr::Unix(_)) => {
                write!(f, "unix://{}", info.addr())
            }
            Place::One(info) => write!(f, "redis{}://{}", secure(info), info.addr()),
            Place::Cluster(infos) => {
                write!(f, "redis{}-cluster://{}", infos.first().map_or("", secure), list(infos))
            }
            Place::Sentinel { sentinels, master, node } => {
                write!(f, "redis{}-sentinel://{}/{master}", secure(node), list(sentinels))
            }
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where() {
        for (url, shown) in [
            ("redis://h", "redis://h:6379"),
            ("redis://u:p%40x@h:1/2", "redis://h:1"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
            ("redis-cluster://u:secret@a:1,b:2", "redis-cluster://a:1,b:2"),
            (
                "redis-sentinel://:secret@a,b:2/mine/3?sentinel-password=other",
                "redis-sentinel://a:26379,b:2/mine",
            ),
            ("redis-sentinel://[::1],[::2]:5/mine", "redis-sentinel://::1:26379,::2:5/mine"),
        ] {
            let redis = Redis::new(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(redis.to_string(), shown);
            assert!(!format!("{redis:?}").contains("secret"));
        }
        let Place::Sentinel { sentinels, node, .. } =
            Redis::new("redis-sentinel://u:p@a/mine/3?sentinel-password=other").unwrap().place
        else {
            panic!()
        };
        assert_eq!(node.redis_settings().password(), Some("p"));
        assert_eq!(node.redis_settings().db(), 3);
        assert_eq!(sentinels[0].redis_settings().password(), Some("other"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn an_s_means_tls() {
        for url in ["rediss://h:1", "rediss-cluster://h:1", "rediss-sentinel://h:1/mine"] {
            assert!(Redis::new(url).unwrap().to_string().starts_with("rediss"), "{url}");
        }
    }

    #[test]
    fn other_texts_are_refused_without_being_repeated() {
        for url in [
            "",
            "redis",
            "http://secret@h",
            "redis-shard://secret@h",
            "postgres-cluster://secret@h",
            "redis://u:secret@h/x",
            "redis-cluster://u:secret@h/1",
            "redis-sentinel://u:secret@h",
            "redis-sentinel://u:secret@h/m?password=secret",
            "redis-cluster://u:secret@",
        ] {
            let error = Redis::new(url).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
