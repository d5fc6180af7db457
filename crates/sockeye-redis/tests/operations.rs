//! Three Sockeye servers on one Redis: every operation from one to the others, for every kind of adapter.

mod support;

use std::collections::HashSet;
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::ServerBuilder;
use sockeye::cluster::State;
use sockeye_redis::{Classic, Mode, Redis, Sharded, Streams};
use sockeye_testkit::{TestClient, TestServer};
use support::{LIMIT, Server};

const KINDS: [&str; 5] = ["classic", "static", "dynamic", "private", "streams"];

/// A server of this kind, in a cluster named like it.
fn join(builder: ServerBuilder, redis: Redis, kind: &str) -> ServerBuilder {
    let sharded = |mode| Sharded::new(redis.clone()).channel_prefix(kind).subscription_mode(mode);
    match kind {
        "classic" => builder.adapter(Classic::new(redis).key(kind)),
        "static" => builder.adapter(sharded(Mode::Static)),
        "dynamic" => builder.adapter(sharded(Mode::Dynamic)),
        "private" => builder.adapter(sharded(Mode::DynamicPrivate)),
        _ => builder.adapter(Streams::new(redis).channel_prefix(kind).stream_name(kind)),
    }
}

/// Three servers, each with a client.
struct Three {
    servers: Vec<TestServer>,
    clients: Vec<TestClient>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Three {
    async fn start(redis: &Redis, kind: &str) -> Three {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            let builder =
                join(sockeye::Server::builder().namespace("/x", |space| space), redis.clone(), kind);
            let io = builder.build().unwrap();
            let heard = Arc::clone(&heard);
            io.on_server_event("ask", move |arguments| {
                heard.lock().unwrap().push(format!("{name} {}", arguments.text()));
                Some(sockeye::proto::Payload::args(&name).unwrap())
            });
            joined(&io).await;
            let server = TestServer::new(io);
            let client = server.connect().await;
            // A client that can be written to by its id from everywhere.
            server.io().cluster_joined().await;
            clients.push(client);
            servers.push(server);
        }
        Three { servers, clients, heard }
    }

    fn io(&self, at: usize) -> &sockeye::Server {
        self.servers[at].io()
    }

    fn id(&self, at: usize) -> String {
        self.clients[at].id().to_owned()
    }
}

async fn joined(io: &sockeye::Server) {
    let mut state = io.cluster_state().expect("it has a bus");
    tokio::time::timeout(LIMIT, state.wait_for(State::is_up)).await.expect("in time").unwrap();
    io.cluster_joined().await;
}

fn subscribers(server: &Server, channel: &str) -> usize {
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let answer: (String, usize) =
        redis::cmd("PUBSUB").arg("SHARDNUMSUB").arg(channel).query(&mut connection).unwrap();
    answer.1
}

/// Asks until the answer is as expected: what crosses Redis has no end that one could wait for here.
async fn until<F: Future<Output = bool>>(mut what: impl FnMut() -> F) {
    tokio::time::timeout(LIMIT, async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it comes to pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcasts() {
    let Some(server) = Server::start() else { return };
    for kind in KINDS {
        let mut three = Three::start(&server.redis(), kind).await;
        for at in [1, 2] {
            three.io(at).of("/").socket(&three.id(at)).unwrap().join("r");
        }
        three.io(2).of("/").socket(&three.id(2)).unwrap().join("s");
        // A room that others can reach only by its channel: its first member is heard of when Redis knows.
        if matches!(kind, "dynamic" | "private") {
            let mut wanted = vec![("r".to_owned(), 2), ("s".to_owned(), 1)];
            wanted.extend((0..3).filter(|_| kind == "private").map(|at| (three.id(at), 1)));
            for (room, count) in wanted {
                let channel = format!("{kind}#/#{room}#");
                until(|| async { subscribers(&server, &channel) == count }).await;
            }
        }
        let io = three.io(0).clone();
        let (here, there) = (three.id(0), three.id(1));
        // First, while everybody can be written to: it may be dropped otherwise.
        io.to("r").volatile().emit("volatile", 6).unwrap();
        io.emit("all", 1).unwrap();
        io.to("r").emit("room", 2).unwrap();
        io.to(["r", "s"]).except("s").emit("except", 3).unwrap();
        io.except(&here).emit("others", 4).unwrap();
        io.to(&there).emit("one", serde_bytes::Bytes::new(b"bytes")).unwrap();
        io.local().emit("here", 5).unwrap();
        io.emit("end", 0).unwrap();
        let expected: [&[&str]; 3] = [
            &["all", "here", "end"],
            &["volatile", "all", "room", "except", "others", "one", "end"],
            &["volatile", "all", "room", "others", "end"],
        ];
        for (client, expected) in three.clients.iter_mut().zip(expected) {
            let mut ordered: Vec<String> = Vec::new();
            let end = std::time::Instant::now() + LIMIT;
            while ordered.len() < expected.len() {
                assert!(std::time::Instant::now() < end, "{kind}: only {ordered:?}");
                for received in client.drain().await {
                    if received.name() == "one" {
                        assert_eq!(received.attachments()[0], &b"bytes"[..]);
                    }
                    ordered.push(received.name().to_owned());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let names: HashSet<String> = ordered.iter().cloned().collect();
            assert_eq!(names.len(), ordered.len(), "{kind}: {ordered:?}");
            assert_eq!(names, expected.iter().map(|name| (*name).to_owned()).collect(), "{kind}");
            // Redis alone keeps the order between channels, as long as it is one Redis.
            assert_eq!(ordered, expected, "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_clients() {
    let Some(server) = Server::start() else { return };
    for kind in KINDS {
        let mut three = Three::start(&server.redis(), kind).await;
        let asking = tokio::spawn(three.io(0).call::<u32>("q", 7).timeout(LIMIT).into_future());
        for (at, client) in three.clients.iter_mut().enumerate() {
            let received = client.expect("q").await;
            assert_eq!(received.data::<u32>(), 7);
            received.answer(at as u32);
        }
        let answers = asking.await.unwrap();
        assert!(answers.is_complete(), "{kind}");
        let mut answers: Vec<u32> = answers.into_values();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2], "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_leaving_finding_disconnecting() {
    let Some(server) = Server::start() else { return };
    for kind in KINDS {
        let mut three = Three::start(&server.redis(), kind).await;
        let io = three.io(0).clone();
        let there = three.io(1).of("/").socket(&three.id(1)).unwrap();
        there.set_info("info").unwrap();
        io.to(three.id(1)).sockets_join(["r", "s"]);
        until(|| async { there.is_in("r") && there.is_in("s") }).await;
        let found = io.fetch_sockets().await.unwrap();
        let ids: HashSet<_> = found.iter().map(|socket| socket.id().to_owned()).collect();
        assert_eq!(ids, (0..3).map(|at| three.id(at)).collect(), "{kind}");
        let found = io.to("r").fetch_sockets().await.unwrap();
        assert_eq!(found.len(), 1, "{kind}");
        assert_eq!(found[0].info::<String>().unwrap().as_deref(), Some("info"));
        assert_eq!(found[0].rooms().iter().filter(|room| &***room == "s").count(), 1);
        found[0].emit("found", 1).unwrap();
        three.clients[1].expect("found").await;
        let rooms = io.all_rooms().await.unwrap();
        assert!(rooms.contains("r") && rooms.contains("s"), "{kind}");
        assert_eq!(io.server_count().await, Ok(3), "{kind}");
        io.to("s").sockets_leave("r");
        until(|| async { !there.is_in("r") }).await;
        io.to("s").disconnect_sockets(true);
        three.clients[1].expect_disconnect().await;
        until(|| async { io.fetch_sockets().await.unwrap().len() == 2 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_among_themselves() {
    let Some(server) = Server::start() else { return };
    for kind in KINDS {
        let three = Three::start(&server.redis(), kind).await;
        let io = three.io(0).clone();
        let mut answers: Vec<String> = io
            .server_side_call("ask", 1)
            .await
            .unwrap()
            .iter()
            .map(|answer| answer.text().to_owned())
            .collect();
        answers.sort();
        assert_eq!(answers, [r#"["b"]"#, r#"["c"]"#], "{kind}");
        io.server_side_emit("ask", 2).unwrap();
        let heard = &three.heard;
        until(|| async { heard.lock().unwrap().len() == 4 }).await;
        let mut heard = heard.lock().unwrap().clone();
        heard.sort();
        assert_eq!(heard.iter().filter(|line| line.starts_with('a')).count(), 0, "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_named_or_counted_and_the_others_answers_are_kept() {
    let Some(server) = Server::start() else { return };
    for kind in KINDS {
        let three = Three::start(&server.redis(), kind).await;
        // Counted by Redis, and silent: subscribed as a server is, by hand.
        let client = redis::Client::open(server.url()).unwrap();
        let mut ghost = client.get_async_pubsub().await.unwrap();
        let (base, own) = match kind {
            "classic" => ("classic-request#/#".to_owned(), None),
            _ => (format!("{kind}#/#"), Some(format!("{kind}#/#00000000deadbeef#"))),
        };
        if matches!(kind, "classic" | "streams") {
            ghost.subscribe(&base).await.unwrap();
            if let Some(own) = &own {
                ghost.subscribe(own).await.unwrap();
            }
        } else {
            // The library's pub/sub connection knows nothing of sharded channels.
            continue;
        }
        let io = three.io(0).clone();
        assert_eq!(io.server_count().await, Ok(4), "{kind}");
        let started = std::time::Instant::now();
        let incomplete =
            io.of("/").timeout(Duration::from_millis(700)).fetch_sockets().await.expect_err("one is silent");
        assert!(started.elapsed() < Duration::from_secs(4));
        assert_eq!(incomplete.partial.len(), 3, "{kind}");
        let missing = incomplete.missing().unwrap();
        assert_eq!(missing.count, 1);
        if own.is_some() {
            assert_eq!(missing.names, [Arc::from("00000000deadbeef")]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_local_clients_are_served_and_afterwards_everybody_is() {
    let Some(mut server) = Server::start() else { return };
    for kind in KINDS {
        let mut three = Three::start(&server.redis(), kind).await;
        let io = three.io(0).clone();
        server.kill();
        let mut state = io.cluster_state().unwrap();
        tokio::time::timeout(LIMIT, state.wait_for(|state| !state.is_up())).await.unwrap().unwrap();
        io.emit("alone", 1).unwrap();
        three.clients[0].expect("alone").await;
        let incomplete = io.fetch_sockets().await.expect_err("nobody can be asked");
        assert_eq!(incomplete.partial.len(), 1, "{kind}: {incomplete:?}");
        server.run();
        for at in 0..3 {
            joined(three.io(at)).await;
        }
        io.emit("again", 2).unwrap();
        for client in &mut three.clients {
            client.skip_to("again").await;
            assert!(client.drain().await.is_empty(), "{kind}: heard twice");
        }
    }
}
