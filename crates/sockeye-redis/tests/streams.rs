//! The streams bus, against a real Redis.

mod support;

use std::time::Duration;

use sockeye_cluster::{Body, BusError, Flags, Options, Peers, Position, Session};
use sockeye_proto::socket::Payload;
use sockeye_redis::Streams;
use support::{Came, LIMIT, Node, Server, event, text};

/// Keeps its stream when it is killed.
const DURABLE: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// The next broadcast out of the log, and its place.
async fn logged(node: &mut Node) -> (String, Option<Position>, Option<std::sync::Arc<str>>) {
    match node.next().await {
        Came::Logged(message, at) => (text(&message).to_owned(), at, message.from),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn broadcasts_come_to_all_servers_with_their_places_own_ones_too() {
    let Some(server) = Server::start() else { return };
    server.say(&["XADD", "socket.io", "*", "uid", "u", "nsp", "/", "type", "3", "data", "before"]);
    let mut one = Node::join(Streams::new(server.redis()), &["/", "/x"]).await;
    let mut other = Node::join(Streams::new(server.redis()), &["/", "/x"]).await;
    for number in 0..1000 {
        one.publish(if number % 3 == 0 { "/x" } else { "/" }, event("n", number, &["r"]));
    }
    let mut last = None;
    for number in 0..1000 {
        let (here, at_here, from) = logged(&mut one).await;
        let (there, at_there, _) = logged(&mut other).await;
        assert_eq!(here, format!(r#"["n",{number}]"#));
        assert_eq!((&here, &at_here), (&there, &at_there));
        assert_eq!(from, Some(one.bus.name()));
        assert!(at_here > last, "places grow");
        last = at_here;
    }
}

#[tokio::test]
async fn questions_are_published_and_answered_to_the_asker_and_servers_have_names() {
    let Some(server) = Server::start() else { return };
    for sharded in [false, true] {
        let streams =
            || Streams::new(server.redis()).channel_prefix(format!("p{sharded}")).sharded_pub_sub(sharded);
        let mut asks = Node::join(streams(), &["/"]).await;
        let mut answers = Node::join(streams(), &["/"]).await;
        let mut third = Node::join(streams(), &["/"]).await;
        let Ok(Peers::Named(mut names)) = asks.bus.peers("/").await else { panic!() };
        names.sort();
        let mut expected = vec![answers.bus.name(), third.bus.name()];
        expected.sort();
        assert_eq!(names, expected);
        asks.publish("/", Body::FetchSockets { options: Options::default(), request: "q".into() });
        let (_, asker) = answers.hears().await;
        third.hears().await;
        asks.hears().await;
        let answer = Body::Sockets { request: "q".into(), sockets: Vec::new() };
        answers.bus.respond(&asker, &answers.message("/", answer.clone())).unwrap();
        let (came, asker) = asks.hears().await;
        assert_eq!((came.body, asker.name), (answer, Some(answers.bus.name())));
        third.heard_nothing();
        // One goes: the names are asked for again.
        let gone = answers.bus.name();
        answers.bus.shutdown().await.unwrap();
        tokio::time::timeout(LIMIT, async {
            while asks.bus.peers("/").await != Ok(Peers::Named(vec![third.bus.name()])) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{gone} is still there"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_in_a_stream_of_broadcasts_and_nothing_is_lost_or_doubled() {
    let Some(mut server) = Server::start_with(DURABLE) else { return };
    let streams = || Streams::new(server.redis());
    let mut nodes = [Node::join(streams(), &["/"]).await, Node::join(streams(), &["/"]).await];
    let total = 3000;
    let speak = |node: &Node, who: &'static str| {
        let (bus, name) = (node.bus.clone(), node.bus.name());
        tokio::spawn(async move {
            for number in 0..total {
                let message = sockeye_cluster::Message {
                    from: Some(name.clone()),
                    namespace: "/".into(),
                    body: event(who, number, &[]),
                };
                bus.publish(&message).unwrap();
                if number % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        })
    };
    let speaking = [speak(&nodes[0], "a"), speak(&nodes[1], "b")];
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.run();
    }
    for speaking in speaking {
        speaking.await.unwrap();
    }
    for node in &mut nodes {
        let (mut next, mut last) = ([0, 0], None);
        while next != [total, total] {
            let (came, at, _) = logged(node).await;
            let (who, number) = came.trim_matches(|c| "[]".contains(c)).split_once(',').unwrap();
            let which = usize::from(who == "\"b\"");
            assert_eq!(number.parse(), Ok(next[which]), "of {who}");
            next[which] += 1;
            assert!(at > last, "{at:?}");
            last = at;
        }
        node.heard_nothing();
    }
}

#[tokio::test]
async fn a_redis_that_stays_away_makes_broadcasts_local() {
    let Some(mut server) = Server::start_with(DURABLE) else { return };
    let mut node = Node::join(Streams::new(server.redis()).hold(Duration::from_millis(300)), &["/"]).await;
    let mut other = Node::join(Streams::new(server.redis()), &["/"]).await;
    server.kill();
    node.down().await;
    for number in 0..10 {
        node.publish("/", event("held", number, &[]));
    }
    for number in 0..10 {
        let (came, at, _) = logged(&mut node).await;
        assert_eq!((came, at), (format!(r#"["held",{number}]"#), None));
    }
    let refused = node.bus.publish(&node.message("/", event("late", 0, &[])));
    assert!(matches!(refused, Err(BusError::Down(_))), "{refused:?}");
    server.run();
    node.up().await;
    other.up().await;
    // What was given back is not written as well.
    tokio::time::timeout(LIMIT, async {
        while node.bus.publish(&node.message("/", event("back", 1, &[]))).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(logged(&mut other).await.0, r#"["back",1]"#);
    let (came, at, _) = logged(&mut node).await;
    assert!(came == r#"["back",1]"# && at.is_some(), "{came} {at:?}");
}

#[tokio::test]
async fn a_log_that_went_on_without_us_is_a_gap() {
    let Some(server) = Server::start() else { return };
    let mut node = Node::join(Streams::new(server.redis()), &["/"]).await;
    let add = |number: u64| {
        let data = format!(
            r#"{{"packet":{{"type":2,"data":["n",{number}]}},"opts":{{"rooms":[],"except":[],"flags":{{}}}}}}"#
        );
        server.say(&["XADD", "socket.io", "*", "uid", "u", "nsp", "/", "type", "3", "data", &data]);
    };
    add(1);
    assert_eq!(logged(&mut node).await.0, r#"["n",1]"#);
    // All at once for Redis, while nobody reads.
    server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    for number in 2..6 {
        add(number);
    }
    server.say(&["XTRIM", "socket.io", "MAXLEN", "2"]);
    let came = node.next().await;
    if let Came::Logged(message, _) = &came {
        panic!("read {} before it was trimmed: this machine is too slow for the test", text(message));
    }
    assert_eq!(came, Came::Gap(None));
    assert_eq!(logged(&mut node).await.0, r#"["n",4]"#);
    assert_eq!(logged(&mut node).await.0, r#"["n",5]"#);
}

#[tokio::test]
async fn sessions_are_taken_up_by_any_server_once_with_what_they_missed() {
    let Some(server) = Server::start() else { return };
    let mut lost_by = Node::join(Streams::new(server.redis()), &["/", "/x"]).await;
    let found_by = Node::join(Streams::new(server.redis()), &["/", "/x"]).await;
    lost_by.publish("/", event("seen", 0, &[]));
    let (_, at, _) = logged(&mut lost_by).await;
    let offset = at.unwrap().offset;
    let session = |pid: &str| Session {
        sid: "sid".into(),
        pid: pid.into(),
        rooms: vec!["sid".into(), "r".into()],
        data: Payload::args(&7).unwrap(),
    };
    let log = lost_by.bus.log().unwrap();
    for pid in ["a", "b", "c", "d", "e"] {
        log.persist(session(pid), Duration::from_secs(60)).await.unwrap();
    }
    let volatile = |number: u64| {
        let flags = Flags { volatile: true, ..Flags::default() };
        let payload = Payload::event("v", &number).unwrap();
        Body::Broadcast { payload, options: Options { flags, ..Options::default() }, request: None }
    };
    lost_by.publish("/", event("missed", 1, &[]));
    lost_by.publish("/", event("elsewhere", 1, &["other"]));
    lost_by.publish("/", volatile(1));
    lost_by.publish("/x", event("namespace", 1, &[]));
    for number in 2..1200 {
        lost_by.publish("/", event("missed", number, &["r", "other"]));
    }
    lost_by.publish("/", event("end", 0, &["other"]));
    let end = loop {
        let (came, at, _) = logged(&mut lost_by).await;
        if came.contains("end") {
            break at.unwrap();
        }
    };
    let log = found_by.bus.log().unwrap();
    let found = log.restore("/", "a", &offset, usize::MAX).await.unwrap().unwrap();
    assert_eq!(found.session, session("a"));
    assert_eq!(found.until, end);
    let texts: Vec<_> = found.missed.iter().map(|missed| missed.payload.text().to_owned()).collect();
    assert_eq!(texts, (1..1200).map(|number| format!(r#"["missed",{number}]"#)).collect::<Vec<_>>());
    assert!(found.missed.windows(2).all(|pair| pair[0].at < pair[1].at));
    // Once; not under another name; not with an offset that is none, not there, or too far back.
    assert!(log.restore("/", "a", &offset, usize::MAX).await.unwrap().is_none());
    assert!(log.restore("/", "other", &offset, usize::MAX).await.unwrap().is_none());
    for (pid, wrong) in [("b", "$"), ("c", "1-1")] {
        assert!(log.restore("/", pid, wrong, usize::MAX).await.unwrap().is_none());
        assert!(log.restore("/", pid, &offset, usize::MAX).await.unwrap().is_none(), "it is used up");
    }
    assert!(log.restore("/", "d", &offset, 1000).await.unwrap().is_none(), "too much");
    server.say(&["XTRIM", "socket.io", "MAXLEN", "600"]);
    assert!(log.restore("/", "e", &offset, usize::MAX).await.unwrap().is_none(), "not all there");
    // A session does not outlive its window.
    log.persist(session("f"), Duration::from_millis(100)).await.unwrap();
    let end = tokio::time::Instant::now() + LIMIT;
    while server.say(&["EXISTS", "sio:session:f"]) != ":0" {
        assert!(tokio::time::Instant::now() < end);
    }
}

#[tokio::test]
async fn a_session_lost_while_redis_is_away_is_kept_when_it_is_back() {
    let Some(mut server) = Server::start() else { return };
    let node = Node::join(Streams::new(server.redis()), &["/"]).await;
    server.kill();
    node.down().await;
    let session =
        Session { sid: "s".into(), pid: "p".into(), rooms: Vec::new(), data: Payload::args(&()).unwrap() };
    let kept = node.bus.log().unwrap().persist(session, Duration::from_secs(60));
    server.run();
    tokio::time::timeout(LIMIT, kept).await.expect("in time").unwrap();
    assert_eq!(server.say(&["EXISTS", "sio:session:p"]), ":1");
}

#[tokio::test]
async fn hostile_entries_and_messages_are_counted_and_skipped() {
    let Some(server) = Server::start() else { return };
    let mut node = Node::join(Streams::new(server.redis()), &["/"]).await;
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    for fields in [
        &["nsp", "/"][..],
        &["nsp", "/", "uid", "u", "type", "x"],
        &["nsp", "/", "uid", "u", "type", "99"],
        &["nsp", "/", "uid", "u", "type", "3"],
        &["nsp", "/", "uid", "u", "type", "3", "data", "{"],
        &["nsp", "/", "uid", "u", "type", "3", "data", "{}"],
        &["nsp", "/", "uid", "u", "type", "3", "data", "3d////8="],
        &["nsp", "/", "uid", "u", "type", "3", "data", "!!"],
        &["nsp", "/", "uid", "u", "type", "3", "data", deep.as_str()],
    ] {
        server.say(&[&["XADD", "socket.io", "*"], fields].concat());
        assert_eq!(node.next().await, Came::Refused, "{fields:.80?}");
    }
    server.say(&["XADD", "socket.io", "*", "something", "else"]);
    let own = format!("socket.io#/#{}#", node.bus.name());
    for channel in ["socket.io#/#", own.as_str()] {
        for body in [&b""[..], b"{", b"{}", b"\xdf\xff\xff\xff\xff", b"\x81\xa4type\x03", deep.as_bytes()] {
            server.publish(channel, body);
            assert_eq!(node.next().await, Came::Refused);
        }
    }
    node.publish("/", event("alive", 1, &[]));
    assert_eq!(logged(&mut node).await.0, r#"["alive",1]"#);
}

#[tokio::test]
async fn namespaces_are_distributed_over_several_streams_and_none_is_lost() {
    let Some(server) = Server::start() else { return };
    let streams = || Streams::new(server.redis()).stream_count(4).stream_name("s");
    // The hash of the last is negative; Node's servers write it where only we read.
    let names = ["/", "/chat", "/admin", "/notifications"];
    let one = Node::join(streams(), &names).await;
    let mut other = Node::join(streams(), &names).await;
    for name in names {
        one.publish(name, event("e", 0, &[]));
        logged(&mut other).await;
    }
    let data = r#"{"packet":{"type":2,"data":["node"]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
    server.say(&["XADD", "s--3", "*", "uid", "u", "nsp", "/notifications", "type", "3", "data", data]);
    assert_eq!(logged(&mut other).await.0, r#"["node"]"#);
}

#[tokio::test]
async fn an_emitter_writes_what_servers_read() {
    let Some(server) = Server::start() else { return };
    let mut node = Node::join(Streams::new(server.redis()), &["/", "/x"]).await;
    let emitter = Streams::new(server.redis()).emitter();
    emitter.of("/x").to("r").emit("news", vec![1]).await.unwrap();
    assert_eq!(logged(&mut node).await.0, r#"["news",[1]]"#);
    emitter.server_side_emit("tick", 1).await.unwrap();
    emitter.to("r").sockets_join("s").await.unwrap();
    emitter.disconnect_sockets(false).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let Came::Logged(message, _) = node.next().await else { panic!() };
        kinds.push(message.body);
    }
    assert!(
        matches!(&kinds[..], [Body::ServerEvent { .. }, Body::Join { .. }, Body::Disconnect { .. }]),
        "{kinds:?}"
    );
    assert_eq!(node.bus.peers("/").await, Ok(Peers::Named(Vec::new())));
}

#[tokio::test]
async fn shutdown_writes_what_was_taken() {
    let Some(server) = Server::start() else { return };
    let one = Node::join(Streams::new(server.redis()), &["/"]).await;
    for number in 0..2000 {
        one.publish("/", event("n", number, &[]));
    }
    tokio::time::timeout(LIMIT, one.bus.shutdown()).await.expect("in time").unwrap();
    assert_eq!(server.say(&["XLEN", "socket.io"]), ":2000");
    assert_eq!(one.bus.publish(&one.message("/", event("n", 0, &[]))), Err(BusError::Closed));
}
