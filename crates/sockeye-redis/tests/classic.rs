//! The classic bus, against a real Redis.

mod support;

use std::time::Duration;

use sockeye_cluster::{Body, BusError, Options, Peers, SocketDescription};
use sockeye_proto::socket::Payload;
use sockeye_redis::Classic;
use support::{Came, LIMIT, Node, Server, event, text};

#[tokio::test]
async fn what_one_server_says_the_others_hear_once_and_in_order() {
    let Some(server) = Server::start() else { return };
    let classic = || Classic::new(server.redis()).key("k");
    let mut one = Node::join(classic(), &["/", "/x"]).await;
    let mut other = Node::join(classic(), &["/", "/x"]).await;
    let mut foreign = Node::join(Classic::new(server.redis()), &["/", "/x"]).await;
    for number in 0..2000 {
        one.publish(if number % 2 == 0 { "/" } else { "/x" }, event("n", number, &[]));
    }
    one.publish("/", event("last", 0, &["r"]));
    for number in 0..2000 {
        let (message, asker) = other.hears().await;
        assert_eq!(text(&message), format!(r#"["n",{number}]"#));
        assert_eq!(&*message.namespace, if number % 2 == 0 { "/" } else { "/x" });
        assert_eq!(asker.name, Some(one.bus.name()));
    }
    assert_eq!(text(&other.hears().await.0), r#"["last",0]"#);
    other.publish("/", event("back", 1, &[]));
    assert_eq!(text(&one.hears().await.0), r#"["back",1]"#, "and nothing of its own before");
    foreign.heard_nothing();
}

#[tokio::test]
async fn questions_are_answered_to_the_asker_alone() {
    let Some(server) = Server::start() else { return };
    let classic = || Classic::new(server.redis());
    let mut asks = Node::join(classic(), &["/"]).await;
    let mut answers = Node::join(classic(), &["/"]).await;
    let mut third = Node::join(classic(), &["/"]).await;
    assert_eq!(asks.bus.peers("/").await, Ok(Peers::Count(3)));
    asks.publish("/", Body::FetchSockets { options: Options::default(), request: "q".into() });
    let (question, asker) = answers.hears().await;
    assert!(matches!(question.body, Body::FetchSockets { .. }));
    assert!(matches!(third.hears().await.0.body, Body::FetchSockets { .. }));
    let (echo, _) = asks.hears().await;
    assert_eq!(echo.from, Some(asks.bus.name()), "its own comes back and says so");
    let sockets = vec![SocketDescription {
        id: "s".into(),
        handshake: None,
        rooms: vec!["s".into()],
        data: Payload::args(&1).unwrap(),
    }];
    let answer = Body::Sockets { request: "q".into(), sockets };
    answers.bus.respond(&asker, &answers.message("/", answer.clone())).unwrap();
    assert_eq!(asks.hears().await.0.body, answer);
    // An answer on the common channel would have come before this.
    answers.publish("/", event("after", 0, &[]));
    assert_eq!(text(&third.hears().await.0), r#"["after",0]"#);
}

#[tokio::test]
async fn old_servers_are_answered_in_their_words_on_the_channel_of_all() {
    let Some(server) = Server::start() else { return };
    let mut ours = Node::join(Classic::new(server.redis()), &["/"]).await;
    // Version 5 asks for the rooms of a socket, and hears on the common channel only; so do we.
    server.publish("socket.io-request#/#", br#"{"requestid":"q","type":1,"sid":"s"}"#);
    let (question, asker) = ours.hears().await;
    assert!(matches!(question.body, Body::RoomsOf { .. }));
    let answer = Body::Rooms { request: "q".into(), rooms: vec!["r".into()] };
    ours.bus.respond(&asker, &ours.message("/", answer.clone())).unwrap();
    assert_eq!(ours.hears().await.0.body, answer);
}

#[tokio::test]
async fn rooms_without_anybody_are_not_even_read() {
    let Some(server) = Server::start() else { return };
    let mut ours = Node::join(Classic::new(server.redis()), &["/"]).await;
    ours.only_rooms(&["full"]);
    server.publish("socket.io#/#empty#", b"whatever");
    server.publish("socket.io#/#full#", b"whatever");
    assert_eq!(ours.next().await, Came::Refused);
    server.publish("socket.io#/#", b"whatever");
    assert_eq!(ours.next().await, Came::Refused);
    ours.heard_nothing();
}

#[tokio::test]
async fn namespaces_that_look_like_patterns_hear_their_own_and_nothing_else() {
    let Some(server) = Server::start() else { return };
    let names = ["/[a]", "/*", "/a?", "/\\", "/ab", "/[ab", "/a]b"];
    let speaks = Node::join(Classic::new(server.redis()), &names).await;
    for listened in names {
        let mut hears = Node::join(Classic::new(server.redis()), &[listened]).await;
        for name in names {
            speaks.publish(name, event("e", 0, &[]));
            speaks.publish(name, event("e", 1, &["room"]));
        }
        for number in 0..2 {
            let (message, _) = hears.hears().await;
            assert_eq!((&*message.namespace, text(&message)), (listened, &*format!(r#"["e",{number}]"#)));
        }
        speaks.publish(listened, event("end", 0, &[]));
        assert_eq!(text(&hears.hears().await.0), r#"["end",0]"#);
    }
}

#[tokio::test]
async fn a_namespace_that_goes_is_neither_counted_nor_heard() {
    let Some(server) = Server::start() else { return };
    let one = Node::join(Classic::new(server.redis()), &["/", "/x"]).await;
    let mut other = Node::join(Classic::new(server.redis()), &["/", "/x"]).await;
    assert_eq!(one.bus.peers("/x").await, Ok(Peers::Count(2)));
    other.bus.close("/x");
    other.bus.open("/y").await.unwrap();
    assert_eq!(one.bus.peers("/x").await, Ok(Peers::Count(1)));
    one.publish("/x", event("gone", 0, &[]));
    one.publish("/", event("here", 0, &[]));
    assert_eq!(text(&other.hears().await.0), r#"["here",0]"#);
    // And comes again.
    other.bus.open("/x").await.unwrap();
    one.publish("/x", event("again", 0, &[]));
    assert_eq!(text(&other.hears().await.0), r#"["again",0]"#);
}

#[tokio::test]
async fn redis_goes_away_and_comes_back_and_nothing_is_doubled() {
    let Some(mut server) = Server::start() else { return };
    let one = Node::join(Classic::new(server.redis()), &["/", "/x"]).await;
    let mut other = Node::join(Classic::new(server.redis()), &["/", "/x"]).await;
    for round in 0..3 {
        server.kill();
        one.down().await;
        other.down().await;
        let asked = Body::FetchSockets { options: Options::default(), request: "q".into() };
        let refused = one.bus.publish(&one.message("/", asked));
        assert!(matches!(refused, Err(BusError::Down(_))), "{refused:?}");
        assert!(matches!(one.bus.peers("/").await, Err(BusError::Down(_))));
        server.run();
        one.up().await;
        other.up().await;
        // Two servers again, and not one more.
        assert_eq!(one.bus.peers("/").await, Ok(Peers::Count(2)));
        for number in 0..100 {
            one.publish("/x", event("n", number + round * 100, &[]));
        }
        for number in 0..100 {
            assert_eq!(text(&other.hears().await.0), format!(r#"["n",{}]"#, number + round * 100));
        }
    }
    other.heard_nothing();
}

#[tokio::test]
async fn what_is_published_while_redis_is_away_waits_within_a_bound() {
    let Some(mut server) = Server::start() else { return };
    let one = Node::join(Classic::new(server.redis()).max_queued(10_000), &["/"]).await;
    server.kill();
    one.down().await;
    let mut taken = 0;
    let full = loop {
        match one.bus.publish(&one.message("/", event("n", taken, &[]))) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, BusError::Full);
    assert!((20..100).contains(&taken), "{taken}");
    let mut other = Node::begin(Classic::new(server.redis()));
    let opened = other.bus.open("/");
    server.run();
    opened.await.unwrap();
    one.up().await;
    // What waited is sent in order, as far as it was taken; whoever is back by then hears it.
    one.publish("/", event("after", 0, &[]));
    let mut next = None;
    loop {
        let (message, _) = other.hears().await;
        let number = match text(&message) {
            r#"["after",0]"# => break,
            text => text.strip_prefix(r#"["n","#).unwrap().strip_suffix(']').unwrap().parse::<u64>().unwrap(),
        };
        assert!(number < taken && next.is_none_or(|next| next == number), "{number} after {next:?}");
        next = Some(number + 1);
    }
}

#[tokio::test]
async fn a_redis_that_is_silent_counts_as_lost() {
    let Some(server) = Server::start() else { return };
    let redis = server.redis().patience(Duration::from_millis(300));
    let node = Node::join(Classic::new(redis), &["/"]).await;
    // Stopped, not ended: its connections stay.
    let signal = |signal: &str| {
        let done = std::process::Command::new("kill").args([signal, &server.pid().to_string()]).status();
        assert!(done.unwrap().success());
    };
    signal("-STOP");
    node.down().await;
    signal("-CONT");
    node.up().await;
    assert_eq!(node.bus.peers("/").await, Ok(Peers::Count(1)));
}

#[tokio::test]
async fn hostile_bytes_are_counted_and_skipped_on_every_channel() {
    let Some(server) = Server::start() else { return };
    let mut ours = Node::join(Classic::new(server.redis()), &["/"]).await;
    let own = format!("socket.io-response#/#{}#", ours.bus.name());
    let channels =
        ["socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", own.as_str()];
    let deep = "[".repeat(100_000);
    let bodies: &[&[u8]] = &[
        b"",
        b"{",
        b"{}",
        b"[]",
        b"\x93",
        b"\x93\xa1a\xc0\xc0",
        b"\x92\x80\x80",
        b"\xff\xff\xff",
        b"null",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"{\"type\":99}",
        b"{\"type\":7,\"requestId\":1}",
        b"{\"type\":5,\"uid\":\"u\",\"requestId\":\"r\"}",
        deep.as_bytes(),
        b"\xc1",
        b"{\"requestId\":{}}",
    ];
    for channel in channels {
        for body in bodies {
            server.publish(channel, body);
            let came = ours.next().await;
            let harmless = matches!(came, Came::Refused)
                || matches!(&came, Came::Message(message, _) if !matches!(message.body, Body::Broadcast { .. }));
            assert!(harmless, "{channel}: {came:?}");
        }
    }
    let other = Node::join(Classic::new(server.redis()), &["/"]).await;
    other.publish("/", event("alive", 1, &[]));
    assert_eq!(text(&ours.hears().await.0), r#"["alive",1]"#);
}

#[tokio::test]
async fn an_emitter_is_heard_and_not_counted() {
    let Some(server) = Server::start() else { return };
    let mut ours = Node::join(Classic::new(server.redis()).key("k"), &["/", "/x"]).await;
    let emitter = Classic::new(server.redis()).key("k").emitter();
    emitter.of("/x").to("r").emit("news", "salmon").await.unwrap();
    let (message, _) = ours.hears().await;
    assert_eq!((&*message.namespace, text(&message)), ("/x", r#"["news","salmon"]"#));
    emitter.to("r").sockets_join("s").await.unwrap();
    assert!(matches!(ours.hears().await.0.body, Body::Join { .. }));
    emitter.sockets_leave("s").await.unwrap();
    assert!(matches!(ours.hears().await.0.body, Body::Leave { .. }));
    emitter.disconnect_sockets(true).await.unwrap();
    assert!(matches!(ours.hears().await.0.body, Body::Disconnect { close: true, .. }));
    emitter.server_side_emit("tick", 1).await.unwrap();
    assert!(matches!(ours.hears().await.0.body, Body::ServerEvent { .. }));
    assert_eq!(ours.bus.peers("/").await, Ok(Peers::Count(1)));
}

#[tokio::test]
async fn shutdown_sends_what_was_taken_and_leaves_the_cluster() {
    let Some(server) = Server::start() else { return };
    let one = Node::join(Classic::new(server.redis()), &["/"]).await;
    let mut other = Node::join(Classic::new(server.redis()), &["/"]).await;
    for number in 0..1000 {
        one.publish("/", event("n", number, &[]));
    }
    tokio::time::timeout(LIMIT, one.bus.shutdown()).await.expect("in time").unwrap();
    for number in 0..1000 {
        assert_eq!(text(&other.hears().await.0), format!(r#"["n",{number}]"#));
    }
    assert_eq!(one.bus.publish(&one.message("/", event("late", 0, &[]))), Err(BusError::Closed));
    assert_eq!(one.bus.open("/y").await, Err(BusError::Closed));
    while other.bus.peers("/").await != Ok(Peers::Count(1)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_redis_it_waits_and_joins_later() {
    let port = support::free_port();
    let redis = sockeye_redis::Redis::new(&format!("redis://127.0.0.1:{port}")).unwrap();
    let node = Node::begin(Classic::new(redis));
    let opened = node.bus.open("/");
    node.down().await;
    node.publish("/", event("early", 0, &[]));
    let Some(_server) = Server::start_on(port, &["--save", ""]) else { return };
    tokio::time::timeout(LIMIT, opened).await.expect("in time").unwrap();
    node.up().await;
    assert_eq!(node.bus.peers("/").await, Ok(Peers::Count(1)));
}
