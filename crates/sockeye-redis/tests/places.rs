//! A Redis Cluster, Sentinels, TLS, passwords: every place a Redis can be, for every kind.

mod support;

use std::time::Duration;

use base64::Engine as _;
use sockeye_cluster::{Body, Bus, Options, Peers, RoomChange, Session};
use sockeye_proto::socket::Payload;
use sockeye_redis::{Classic, Mode, Redis, Sharded, Streams};
use support::{Came, LIMIT, Node, Server, event, text};

/// One bus of each kind.
fn kinds(redis: &Redis) -> [Box<dyn Bus>; 4] {
    let streams = Streams::new(redis.clone()).channel_prefix("streams").stream_count(3);
    [
        Box::new(Classic::new(redis.clone()).key("classic")),
        Box::new(
            Sharded::new(redis.clone()).channel_prefix("sharded").subscription_mode(Mode::DynamicPrivate),
        ),
        Box::new(streams),
        Box::new(
            Streams::new(redis.clone()).channel_prefix("both").stream_name("both").sharded_pub_sub(true),
        ),
    ]
}

/// Two servers of each kind, with two namespaces.
async fn pairs(redis: &Redis) -> Vec<[Node; 2]> {
    let mut pairs = Vec::new();
    for (one, other) in kinds(redis).into_iter().zip(kinds(redis)) {
        pairs.push([Node::join_boxed(one, &["/", "/x"]).await, Node::join_boxed(other, &["/", "/x"]).await]);
    }
    pairs
}

/// Broadcasts, rooms, questions and answers go from the first of two servers to the second, in order.
async fn converse([one, other]: &mut [Node; 2], round: u64) {
    let rooms: Vec<String> = (0..20).map(|number| format!("room-{round}-{number}")).collect();
    let opened: Vec<_> = rooms.iter().map(|room| RoomChange::Opened(room.as_str().into())).collect();
    other.bus.rooms("/", &opened);
    tokio::time::timeout(LIMIT, other.bus.settled("/")).await.expect("in time").unwrap();
    for (number, room) in rooms.iter().enumerate() {
        one.publish("/", event("n", number as u64, &[room]));
    }
    let mut heard = Vec::new();
    while heard.len() < rooms.len() {
        heard.push(text(&told(other).await).to_owned());
    }
    // The channels of different rooms may belong to different servers of Redis.
    let mut expected: Vec<_> = (0..rooms.len()).map(|number| format!(r#"["n",{number}]"#)).collect();
    heard.sort();
    expected.sort();
    assert_eq!(heard, expected);
    for number in 0..50 {
        one.publish("/x", event("x", number, &[]));
    }
    for number in 0..50 {
        assert_eq!(text(&told(other).await), format!(r#"["x",{number}]"#));
    }
    let ids = match one.bus.peers("/").await.unwrap() {
        Peers::Count(count) => count,
        Peers::Named(names) => {
            assert_eq!(names, [other.bus.name()]);
            2
        }
        _ => panic!(),
    };
    assert_eq!(ids, 2);
    let request = format!("q{round}");
    one.publish("/", Body::FetchSockets { options: Options::default(), request: request.as_str().into() });
    let asker = loop {
        if let Came::Message(message, asker) = other.next().await {
            assert!(matches!(message.body, Body::FetchSockets { .. }));
            break asker;
        }
    };
    let answer = Body::ClientCount { request: request.as_str().into(), count: 1 };
    other.bus.respond(&asker, &other.message("/", answer.clone())).unwrap();
    while !matches!(one.next().await, Came::Message(message, _) if message.body == answer) {}
}

/// The next broadcast, by whichever way.
async fn told(node: &mut Node) -> sockeye_cluster::Message {
    match node.next().await {
        Came::Message(message, _) | Came::Logged(message, _) => message,
        other => panic!("{other:?}"),
    }
}

async fn recovers([one, other]: &mut [Node; 2]) {
    one.publish("/", event("seen", 1, &[]));
    let offset = loop {
        match one.next().await {
            Came::Logged(message, Some(at)) if text(&message).contains("seen") => break at.offset,
            _ => {}
        }
    };
    let session =
        Session { sid: "s".into(), pid: "p".into(), rooms: Vec::new(), data: Payload::args(&()).unwrap() };
    one.bus.log().unwrap().persist(session, Duration::from_secs(60)).await.unwrap();
    one.publish("/", event("missed", 1, &[]));
    while !text(&told(other).await).contains("missed") {}
    let found = other.bus.log().unwrap().restore("/", "p", &offset, usize::MAX).await.unwrap().unwrap();
    assert_eq!(found.missed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_of_three_and_a_slot_that_moves() {
    let Some(cluster) = Cluster::start() else { return };
    let mut pairs = pairs(&cluster.redis()).await;
    for pair in &mut pairs {
        converse(pair, 0).await;
    }
    recovers(&mut pairs[2]).await;
    // The slot of a room goes to another server of Redis: whoever is there finds it again.
    let channel = "sharded#/#room-0-3#";
    let slot = cluster.say(0, &["CLUSTER", "KEYSLOT", channel]).trim_start_matches(':').to_owned();
    let owner = (0..3).find(|at| cluster.say(*at, &["SSUBSCRIBE", channel]).starts_with('*')).unwrap();
    let next = (owner + 1) % 3;
    let id: String = cluster.ask(next, &["CLUSTER", "MYID"]);
    for at in [next, owner, (owner + 2) % 3] {
        assert_eq!(cluster.say(at, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]), "+OK");
    }
    let [one, other] = &mut pairs[1];
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        one.publish("/", event("moved", 1, &["room-0-3"]));
        match tokio::time::timeout(Duration::from_millis(50), other.next()).await {
            Ok(Came::Message(message, _)) if text(&message).contains("moved") => break,
            _ => assert!(tokio::time::Instant::now() < end, "never heard again"),
        }
    }
    for node in [&*one, &*other] {
        node.up().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master_and_everybody_follows() {
    let Some(mut sentinels) = Sentinels::start().await else { return };
    let mut pairs = pairs(&sentinels.redis()).await;
    for pair in &mut pairs {
        converse(pair, 0).await;
    }
    let mut fallen = tokio::task::JoinSet::new();
    for node in pairs.iter().flatten() {
        let mut state = node.bus.state();
        fallen.spawn(async move { state.wait_for(|state| !state.is_up()).await.is_ok() });
    }
    sentinels.master.kill();
    while let Some(fell) = tokio::time::timeout(LIMIT, fallen.join_next()).await.expect("in time") {
        assert!(fell.unwrap());
    }
    for pair in &mut pairs {
        for node in pair.iter_mut() {
            node.up().await;
        }
        // What is left of the first conversation.
        pair.iter_mut().for_each(Node::forget);
        converse(pair, 1).await;
    }
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_and_not_without() {
    let Some(tls) = Tls::start() else { return };
    let url = format!("rediss://localhost:{}", tls.port);
    let redis = Redis::new(&url).unwrap();
    let stranger = Node::begin(Classic::new(redis.clone()));
    stranger.down().await;
    let state = format!("{:?}", *stranger.bus.state().borrow());
    assert!(state.to_lowercase().contains("certificate"), "{state}");
    for mut pair in pairs(&redis.certificate_authority(tls.authority.clone())).await {
        converse(&mut pair, 0).await;
    }
}

#[tokio::test]
async fn users_and_passwords() {
    let Some(server) = Server::start_with(&["--save", "", "--requirepass", "p@ss/word"]) else { return };
    let with = |user: &str| Redis::new(&format!("redis://{user}@127.0.0.1:{}", server.port)).unwrap();
    let refused = Node::begin(Classic::new(with(":wrong")));
    refused.down().await;
    let state = format!("{:?}", *refused.bus.state().borrow());
    assert!(!state.contains("wrong"), "{state}");
    for mut pair in pairs(&with(":p%40ss%2Fword")).await {
        converse(&mut pair, 0).await;
    }
}

/// Three masters.
struct Cluster(Vec<Server>);

impl Cluster {
    fn start() -> Option<Cluster> {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let bus = support::free_port().to_string();
            let arguments = [
                "--save",
                "",
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus,
            ];
            servers.push((Server::start_with(&arguments)?, bus));
        }
        for (at, (server, _)) in servers.iter().enumerate() {
            let (first, last) = (at * 5462, (at * 5462 + 5461).min(16383));
            let answer = server.say(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            assert_eq!(answer, "+OK");
            let (next, bus) = &servers[(at + 1) % 3];
            server.say(&["CLUSTER", "MEET", "127.0.0.1", &next.port.to_string(), bus]);
        }
        let cluster = Cluster(servers.into_iter().map(|(server, _)| server).collect());
        let end = std::time::Instant::now() + LIMIT;
        let ready = |at: usize| {
            let info: String = cluster.ask(at, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok")
                && info.contains("cluster_known_nodes:3")
                && info.contains("cluster_size:3")
        };
        while !(0..3).all(ready) {
            assert!(std::time::Instant::now() < end, "the cluster does not come together");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(cluster)
    }

    fn redis(&self) -> Redis {
        let hosts: Vec<_> = self.0.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let url = format!("redis-cluster://{}", hosts.join(","));
        Redis::new(&url).unwrap().heartbeat(Duration::from_millis(200))
    }

    fn say(&self, at: usize, words: &[&str]) -> String {
        self.0[at].say(words)
    }

    fn ask(&self, at: usize, words: &[&str]) -> String {
        let mut connection = redis::Client::open(self.0[at].url()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection).unwrap()
    }
}

/// A master, a replica, and a Sentinel that decides alone.
struct Sentinels {
    master: Server,
    _replica: Server,
    sentinel: Server,
}

impl Sentinels {
    async fn start() -> Option<Sentinels> {
        let master = Server::start_with(&["--save", "", "--repl-diskless-sync-delay", "0"])?;
        let of = format!("127.0.0.1 {}", master.port);
        let replica = Server::start_with(&["--save", "", "--replicaof", &of])?;
        let file = master.directory().join("sentinel.conf");
        let lines = [
            format!("sentinel monitor mine {of} 1"),
            "sentinel down-after-milliseconds mine 300".to_owned(),
            "sentinel failover-timeout mine 2000".to_owned(),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let sentinel = Server::start_with(&[file.to_str().unwrap(), "--sentinel"])?;
        // Both have to know the replica before the master goes.
        let end = tokio::time::Instant::now() + LIMIT;
        let ask = |port: u16, words: &[&str]| -> String {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            format!("{:?}", command.query::<redis::Value>(&mut client.get_connection().unwrap()).unwrap())
        };
        while !(ask(replica.port, &["INFO", "replication"]).contains("master_link_status:up")
            && ask(sentinel.port, &["SENTINEL", "REPLICAS", "mine"]).contains("slave-priority")
            && ask(sentinel.port, &["SENTINEL", "REPLICAS", "mine"]).contains("\"ok\""))
        {
            assert!(tokio::time::Instant::now() < end, "the Sentinel does not know the replica");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(Sentinels { master, _replica: replica, sentinel })
    }

    fn redis(&self) -> Redis {
        let url = format!("redis-sentinel://127.0.0.1:{}/mine", self.sentinel.port);
        Redis::new(&url).unwrap().heartbeat(Duration::from_millis(200))
    }
}

/// With the certificate for `localhost` that other tests use.
struct Tls {
    _directory: tempfile::TempDir,
    _server: Server,
    port: u16,
    authority: Vec<u8>,
}

impl Tls {
    fn start() -> Option<Tls> {
        let directory = tempfile::tempdir().unwrap();
        let pem = |what: &str, der: &[u8]| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let lines: Vec<&str> =
                text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
        };
        let authority =
            pem("CERTIFICATE", include_bytes!("../../sockeye-engine/tests/data/localhost.cert.der"));
        let key = pem("PRIVATE KEY", include_bytes!("../../sockeye-engine/tests/data/localhost.key.der"));
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (certificate, key) = (file("certificate", &authority), file("key", &key));
        let port = support::free_port();
        let tls_port = port.to_string();
        let files =
            ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &certificate];
        let port_and_so_on = ["--save", "", "--tls-port", &tls_port, "--tls-auth-clients", "no"];
        let server = Server::start_with(&[&port_and_so_on[..], &files[..]].concat())?;
        Some(Tls { _server: server, port, authority: authority.into_bytes(), _directory: directory })
    }
}
