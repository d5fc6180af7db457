//! The sharded bus, against a real Redis.

mod support;

use std::sync::Arc;

use sockeye_cluster::{Body, BusError, Options, Peers, RoomChange};
use sockeye_redis::{Mode, Sharded};
use support::{Came, LIMIT, Node, Server, event, text};

async fn opens(node: &Node, rooms: &[&str]) {
    let changes: Vec<_> = rooms.iter().map(|room| RoomChange::Opened(Arc::from(*room))).collect();
    node.bus.rooms("/", &changes);
    tokio::time::timeout(LIMIT, node.bus.settled("/")).await.expect("in time").unwrap();
}

fn closes(node: &Node, room: &str) {
    node.bus.rooms("/", &[RoomChange::Closed(room.into())]);
}

#[tokio::test]
async fn a_room_is_heard_by_who_has_it_in_every_mode() {
    let Some(server) = Server::start() else { return };
    let own = "a-socket-id-of-20-ch";
    for mode in [Mode::Static, Mode::Dynamic, Mode::DynamicPrivate] {
        let sharded =
            || Sharded::new(server.redis()).channel_prefix(format!("{mode:?}")).subscription_mode(mode);
        let speaks = Node::join(sharded(), &["/"]).await;
        let mut has = Node::join(sharded(), &["/"]).await;
        let mut has_not = Node::join(sharded(), &["/"]).await;
        assert_eq!(has.bus.wants_rooms(), mode != Mode::Static);
        if has.bus.wants_rooms() {
            opens(&has, &["room", own]).await;
        }
        speaks.publish("/", event("room", 0, &["room"]));
        speaks.publish("/", event("own", 0, &[own]));
        speaks.publish("/", event("two", 0, &["room", "other"]));
        speaks.publish("/", event("all", 0, &[]));
        let mut heard = Vec::<String>::new();
        while heard.last().is_none_or(|last| !str::contains(last, "all")) {
            heard.push(text(&has.hears().await.0).to_owned());
        }
        assert_eq!(heard, [r#"["room",0]"#, r#"["own",0]"#, r#"["two",0]"#, r#"["all",0]"#], "{mode:?}");
        let mut heard = Vec::<String>::new();
        while heard.last().is_none_or(|last| !str::contains(last, "all")) {
            heard.push(text(&has_not.hears().await.0).to_owned());
        }
        let expected: &[&str] = match mode {
            Mode::Static => &[r#"["room",0]"#, r#"["own",0]"#, r#"["two",0]"#, r#"["all",0]"#],
            // Nobody can tell an id from the name of a room, so everybody hears of it.
            Mode::Dynamic => &[r#"["own",0]"#, r#"["two",0]"#, r#"["all",0]"#],
            Mode::DynamicPrivate => &[r#"["two",0]"#, r#"["all",0]"#],
        };
        assert_eq!(heard, expected, "{mode:?}");
    }
}

#[tokio::test]
async fn rooms_come_and_go_in_any_order_and_end_as_they_were_said_last() {
    let Some(server) = Server::start() else { return };
    let speaks = Node::join(Sharded::new(server.redis()), &["/"]).await;
    let mut hears = Node::join(Sharded::new(server.redis()), &["/"]).await;
    for round in 0..50 {
        opens(&hears, &["kept"]).await;
        closes(&hears, "kept");
        hears.bus.rooms("/", &[RoomChange::Opened("kept".into())]);
        hears.bus.rooms("/", &[RoomChange::Opened("gone".into()), RoomChange::Closed("gone".into())]);
        opens(&hears, &[]).await;
        speaks.publish("/", event("gone", round, &["gone"]));
        speaks.publish("/", event("kept", round, &["kept"]));
        assert_eq!(text(&hears.hears().await.0), format!(r#"["kept",{round}]"#));
        closes(&hears, "kept");
    }
    tokio::time::timeout(LIMIT, hears.bus.settled("/")).await.unwrap().unwrap();
    assert_eq!(server.say(&["PUBSUB", "SHARDNUMSUB", "socket.io#/#kept#"]), "*2");
    speaks.publish("/", event("kept", 99, &["kept"]));
    speaks.publish("/", event("end", 0, &[]));
    assert_eq!(text(&hears.hears().await.0), r#"["end",0]"#);
}

#[tokio::test]
async fn ten_thousand_rooms_are_joined_and_found_again_after_a_loss() {
    let Some(mut server) = Server::start() else { return };
    let speaks = Node::join(Sharded::new(server.redis()), &["/"]).await;
    let mut hears = Node::join(Sharded::new(server.redis()), &["/"]).await;
    let names: Vec<String> = (0..10_000).map(|number| format!("room-{number}")).collect();
    opens(&hears, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for lost in [false, true] {
        if lost {
            server.kill();
            hears.down().await;
            speaks.down().await;
            server.run();
            hears.up().await;
            speaks.up().await;
        }
        for name in names.iter().step_by(997) {
            speaks.publish("/", event(name, 0, &[name]));
            assert_eq!(text(&hears.hears().await.0), format!(r#"["{name}",0]"#));
        }
    }
    hears.heard_nothing();
}

#[tokio::test]
async fn questions_are_answered_and_servers_have_names() {
    let Some(server) = Server::start() else { return };
    let mut asks = Node::join(Sharded::new(server.redis()), &["/"]).await;
    let mut answers = Node::join(Sharded::new(server.redis()), &["/"]).await;
    assert_eq!(asks.bus.peers("/").await, Ok(Peers::Named(vec![answers.bus.name()])));
    // A room that is called like a server is none.
    opens(&answers, &["0123456789abcdef"]).await;
    let third = Node::join(Sharded::new(server.redis()), &["/"]).await;
    assert_eq!(asks.bus.peers("/").await, Ok(Peers::Count(3)));
    closes(&answers, "0123456789abcdef");
    answers.bus.settled("/").await.unwrap();
    let Ok(Peers::Named(names)) = asks.bus.peers("/").await else { panic!() };
    assert!(names.len() == 2 && names.contains(&third.bus.name()));
    let asked = Body::Broadcast {
        payload: sockeye_proto::socket::Payload::event("q", &1).unwrap(),
        options: Options::default(),
        request: Some("r".into()),
    };
    asks.publish("/", asked.clone());
    let (question, asker) = answers.hears().await;
    assert_eq!(question.body, asked);
    let answer = Body::ClientCount { request: "r".into(), count: 3 };
    answers.bus.respond(&asker, &answers.message("/", answer.clone())).unwrap();
    asks.hears().await;
    assert_eq!(asks.hears().await.0.body, answer);
}

#[tokio::test]
async fn hostile_bytes_are_counted_and_skipped_and_missing_namespaces_filled_in() {
    let Some(server) = Server::start() else { return };
    let mut node = Node::join(Sharded::new(server.redis()), &["/x"]).await;
    node.bus.rooms("/x", &[RoomChange::Opened("room".into())]);
    node.bus.settled("/x").await.unwrap();
    let own = format!("socket.io#/x#{}#", node.bus.name());
    let deep = "[".repeat(100_000);
    for channel in ["socket.io#/x#", "socket.io#/x#room#", own.as_str()] {
        for body in [&b""[..], b"{", b"{}", b"\xdf\xff\xff\xff\xff", b"\x81\xa4type\x03", deep.as_bytes()] {
            support::say(server.port, &[b"SPUBLISH", channel.as_bytes(), body]).unwrap();
            assert_eq!(node.next().await, Came::Refused);
        }
    }
    let bare = br#"{"uid":"u","type":5,"data":{"opts":{"rooms":[],"except":[]},"rooms":["r"]}}"#;
    support::say(server.port, &[b"SPUBLISH", b"socket.io#/x#room#", bare]).unwrap();
    assert_eq!(&*node.hears().await.0.namespace, "/x");
}

#[tokio::test]
async fn an_emitter_reaches_rooms_and_a_shutdown_leaves_nothing() {
    let Some(server) = Server::start() else { return };
    let mut node = Node::join(Sharded::new(server.redis()), &["/"]).await;
    opens(&node, &["r"]).await;
    let emitter = Sharded::new(server.redis()).emitter();
    emitter.to("r").emit("news", "salmon").await.unwrap();
    assert_eq!(text(&node.hears().await.0), r#"["news","salmon"]"#);
    emitter.sockets_leave("r").await.unwrap();
    assert!(matches!(node.hears().await.0.body, Body::Leave { .. }));
    node.bus.shutdown().await.unwrap();
    assert_eq!(node.bus.settled("/").await, Err(BusError::Closed));
    let end = tokio::time::Instant::now() + LIMIT;
    while server.say(&["PUBSUB", "SHARDCHANNELS"]) != "*0" {
        assert!(tokio::time::Instant::now() < end);
        tokio::task::yield_now().await;
    }
}
