//! A cluster of three servers in one process: every operation from one to the others, on a bus where servers have names
//! and on one where they are only counted; and what happens when one of them is dead, slow, cut off or lying.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::cluster::{
    Body, BusError, ClusterError, Flags, Incomplete, Message, Options, RoomChange, SocketDescription, State,
};
use sockeye::proto::{Args, Payload};
use sockeye::{FoundSocket, Server, ServerBuilder};
use sockeye_testkit::{TestBus, TestBusNode};
use tokio::time::Instant;

use crate::support::{Client, Log, settle};

struct Three {
    bus: TestBus,
    a: Server,
    b: Server,
    c: Server,
    at_b: TestBusNode,
    at_c: TestBusNode,
}

fn on(bus: TestBus) -> Three {
    built(bus, |builder| builder)
}

fn built(bus: TestBus, with: impl Fn(ServerBuilder) -> ServerBuilder) -> Three {
    let [at_a, at_b, at_c] = ["a", "b", "c"].map(|name| bus.node(name));
    let server = |node: &TestBusNode| with(Server::builder().adapter(node.clone())).build().unwrap();
    Three { a: server(&at_a), b: server(&at_b), c: server(&at_c), bus, at_b, at_c }
}

/// The kinds of bus that make a difference to questions.
fn kinds() -> [TestBus; 2] {
    [TestBus::new(), TestBus::counting()]
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

#[tokio::test(start_paused = true)]
async fn broadcasts_reach_every_server_once() {
    let three = on(TestBus::new());
    let Three { a, b, c, at_b, .. } = &three;
    let (mut at_a, a_id) = Client::join(a).await;
    let (mut anna, b_id) = Client::join(b).await;
    let (mut carl, _) = Client::join(c).await;
    b.local().sockets_join("r");
    c.local().sockets_join(["r", "s"]);
    a.emit("all", 1).unwrap();
    a.to(["r", "s"]).except([&a_id, "x"]).emit("room", 2).unwrap();
    a.to("r").except("s").emit("only", 3).unwrap();
    a.local().emit("here", 4).unwrap();
    a.to(&b_id).emit("one", 5).unwrap();
    settle().await;
    a.to("r").volatile().compress(false).emit("gone?", 6).unwrap();
    for event in [r#"2["all",1]"#, r#"2["here",4]"#] {
        at_a.hears(event).await;
    }
    at_a.hears_nothing().await;
    for event in [r#"2["all",1]"#, r#"2["room",2]"#, r#"2["only",3]"#, r#"2["one",5]"#, r#"2["gone?",6]"#] {
        anna.hears(event).await;
    }
    anna.hears_nothing().await;
    for event in [r#"2["all",1]"#, r#"2["room",2]"#, r#"2["gone?",6]"#] {
        carl.hears(event).await;
    }
    carl.hears_nothing().await;

    // A bus that repeats itself is a broken bus; but nobody is harmed.
    at_b.twice(true);
    a.emit("again", 1).unwrap();
    for _ in 0..2 {
        anna.hears(r#"2["again",1]"#).await;
    }
    let stats = b.stats().cluster;
    assert_eq!((stats.published, stats.received), (0, 7));
}

#[tokio::test(start_paused = true)]
async fn binary_goes_along() {
    let three = on(TestBus::new());
    let Three { a, b, .. } = &three;
    let (mut anna, _) = Client::join(b).await;
    a.emit("bytes", serde_bytes::Bytes::new(b"abc")).unwrap();
    anna.hears(r#"51-["bytes",{"_placeholder":true,"num":0}]"#).await;
    anna.hears("<abc>").await;
}

#[tokio::test(start_paused = true)]
async fn joining_leaving_disconnecting_across_servers() {
    let three = on(TestBus::new());
    let Three { a, b, c, .. } = &three;
    let (mut client, id) = Client::join(b).await;
    let (mut other, _) = Client::join(c).await;
    let socket = b.of("/").socket(&id).unwrap();
    a.to(&id).sockets_join(["r", "s"]);
    settle().await;
    assert!(socket.is_in("r") && socket.is_in("s") && c.of("/").sockets_in("r").is_empty());
    a.to("r").sockets_leave("r");
    settle().await;
    assert!(!socket.is_in("r"));
    a.local().disconnect_sockets(true);
    settle().await;
    assert!(socket.is_connected());
    a.to("s").disconnect_sockets(false);
    client.hears("1").await;
    other.hears_nothing().await;
    a.disconnect_sockets(true);
    other.hears("1").await;
    other.hears("closed").await;
}

#[tokio::test(start_paused = true)]
async fn sockets_are_found_and_reached_wherever_they_are() {
    for bus in kinds() {
        let three = on(bus);
        let Three { a, b, c, .. } = &three;
        let (_at_a, a_id) = Client::join(a).await;
        let (mut at_b, b_id) = Client::join(b).await;
        let (_at_c, c_id) = Client::join(c).await;
        b.of("/").socket(&b_id).unwrap().set_info("from b").unwrap();
        b.to(&b_id).sockets_join("r");
        let found = a.fetch_sockets().await.unwrap();
        assert_eq!(
            sorted(found.iter().map(|socket| socket.id().to_owned())),
            sorted([a_id.clone(), b_id.clone(), c_id])
        );
        let remote = found.iter().find(|socket| socket.id() == b_id).unwrap();
        assert_eq!(remote.info::<String>().unwrap().as_deref(), Some("from b"));
        assert_eq!(found.iter().find(|s| s.id() == a_id).unwrap().info::<String>().unwrap(), None);
        assert_eq!(remote.rooms(), [b_id.as_str().into(), "r".into()] as [Arc<str>; 2]);
        remote.emit("hello", 1).unwrap();
        at_b.hears(r#"2["hello",1]"#).await;
        let FoundSocket::Remote(remote) = remote.clone() else { panic!("it is not here") };
        let call = tokio::spawn(async move { remote.call::<u32>("age", 1, Duration::from_secs(5)).await });
        at_b.hears(r#"20["age",1]"#).await;
        at_b.say("30[42]").await;
        assert_eq!(call.await.unwrap(), Ok(42));
        assert_eq!(a.local().fetch_sockets().await.unwrap().len(), 1);
        assert_eq!(a.to("r").fetch_sockets().await.unwrap().len(), 1);
        assert_eq!(a.to("nobody").fetch_sockets().await.unwrap().len(), 0);
        assert_eq!(a.server_count().await.unwrap(), 3);
        let rooms = a.all_rooms().await.unwrap();
        assert!(rooms.len() == 4 && rooms.contains("r") && rooms.contains(&*b_id), "{rooms:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_stay_unless_they_are_shared() {
    let told = async |share: bool| -> SocketDescription {
        let three = built(TestBus::new(), |builder| builder.share_handshake(share));
        let Three { a, b, .. } = &three;
        let mut client = Client::open_with(b, "EIO=4&token=query-secret", 1 << 20).await;
        client.say(r#"0{"token":"auth-secret"}"#).await;
        client.hear().await;
        a.fetch_sockets().await.unwrap()[0].description()
    };
    let quiet = told(false).await;
    let handshake = quiet.handshake.clone().unwrap();
    assert!(!format!("{quiet:?}").contains("secret") && !format!("{quiet:?}").contains("test.example"));
    assert_eq!((&*handshake.headers, &*handshake.query, &*handshake.auth), ("{}", "{}", "{}"));
    assert_eq!(handshake.url, "/socket.io/");
    assert!(handshake.time.ends_with("GMT+0000 (Coordinated Universal Time)") && handshake.issued > 0);
    let open = told(true).await.handshake.unwrap();
    assert!(open.headers.contains(r#""host":"test.example""#), "{}", open.headers);
    assert_eq!(open.query, r#"{"EIO":"4","token":"query-secret","transport":"websocket"}"#);
    assert_eq!(open.auth, r#"{"token":"auth-secret"}"#);
    assert_eq!(open.url, "/socket.io/?EIO=4&token=query-secret&transport=websocket");
}

#[tokio::test(start_paused = true)]
async fn answers_are_gathered_across_servers() {
    for bus in kinds() {
        let three = on(bus);
        let Three { a, b, .. } = &three;
        let (mut at_a, a_id) = Client::join(a).await;
        let (mut at_b, b_id) = Client::join(b).await;
        let (_silent, _) = Client::join(b).await;
        let call = tokio::spawn(a.timeout(Duration::from_secs(3)).call::<u32>("n", 1).into_future());
        at_a.hears(r#"20["n",1]"#).await;
        at_a.say("30[1]").await;
        at_b.hears(r#"20["n",1]"#).await;
        at_b.say("30[2]").await;
        let answers = call.await.unwrap();
        assert_eq!((answers.silent.len(), answers.silent_elsewhere), (0, 1));
        assert!(answers.silent_servers.is_empty() && !answers.is_complete());
        let said: Vec<_> = answers.answers.into_iter().map(|(id, n)| (id.to_string(), n.unwrap())).collect();
        assert_eq!(said, [("?".to_owned(), 2), (a_id.clone(), 1)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((a.stats().acks, b.stats().acks, b.stats().tasks), (0, 0, 0));

        let all = tokio::spawn(a.to([&a_id, &b_id]).call::<u32>("m", 1).into_future());
        at_a.hear().await;
        at_a.say("31[1]").await;
        at_b.hear().await;
        at_b.say("31[1]").await;
        assert!(all.await.unwrap().is_complete());
        // Late answers, and answers to nothing, are nobody's.
        at_b.say("30[9]").await;
        settle().await;
        assert_eq!(a.stats().cluster.strays, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn servers_talk_among_themselves() {
    for bus in kinds() {
        let three = on(bus);
        let Three { a, b, c, .. } = &three;
        let heard = Log::default();
        let noted = heard.clone();
        b.on_server_event("sum", move |args| {
            let Args((x, y)) = args.arg::<Args<(u32, u32)>>().ok()?;
            noted.note(format!("{x}+{y}"));
            Payload::args(&(x + y)).ok()
        });
        a.on_server_event("sum", |_| panic!("not to itself"));
        c.on_server_event("sum", |_| Payload::args(&100).ok());
        a.server_side_emit("sum", Args((1, 2))).unwrap();
        settle().await;
        assert_eq!(heard.take(), ["1+2"]);
        let answers = a.server_side_call("sum", Args((3, 4))).await.unwrap();
        let numbers = sorted(answers.iter().map(|one| one.ack_arguments().arg::<u32>().unwrap()));
        assert_eq!(numbers, [7, 100]);
        // Where nobody listens, the answer is that.
        let start = Instant::now();
        let answers = a.server_side_call("unheard", 1).await.unwrap();
        assert_eq!(answers.iter().map(Payload::text).collect::<Vec<_>>(), ["[]", "[]"]);
        assert!(start.elapsed() < Duration::from_millis(10));
        assert!(matches!(a.server_side_emit("connect", 1), Err(ClusterError::Encode(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_dead_are_named_and_the_others_answer() {
    let three = on(TestBus::new());
    let Three { a, b, at_c, .. } = &three;
    let (mut anna, _) = Client::join(b).await;
    a.on_server_event("ping", |_| None);
    b.on_server_event("ping", |_| Payload::args(&1).ok());
    at_c.kill();
    let start = Instant::now();
    let Err(error) = a.fetch_sockets().await else { panic!("c is dead") };
    assert_eq!(error.to_string(), "timeout reached: missing 1 responses, of c");
    assert_eq!(error.missing().unwrap().names, [Arc::from("c")]);
    assert_eq!((start.elapsed().as_secs(), error.into_partial().len()), (5, 1));
    assert_eq!(a.all_rooms().await.unwrap_or_else(Incomplete::into_partial).len(), 1);
    let error = a.server_side_call("ping", ()).await.unwrap_err();
    assert_eq!((error.partial.len(), error.partial[0].text()), (1, "[1]"));
    let call = tokio::spawn(a.timeout(Duration::from_secs(2)).call::<u32>("n", ()).into_future());
    anna.hears(r#"20["n"]"#).await;
    anna.say("30[5]").await;
    let answers = call.await.unwrap();
    assert_eq!((answers.silent_servers.count, &*answers.silent_servers.names[0]), (1, "c"));
    assert_eq!(answers.into_values(), [5]);
}

#[tokio::test(start_paused = true)]
async fn who_dies_during_a_question_is_not_waited_for() {
    for (bus, who) in kinds().into_iter().zip([", of c", ""]) {
        let three = on(bus);
        let Three { a, at_c, .. } = &three;
        at_c.kill();
        let asker = a.clone();
        let question = tokio::spawn(async move { asker.fetch_sockets().await });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        at_c.bury();
        let start = Instant::now();
        let error = question.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), format!("timeout reached: missing 1 responses{who}"));
        assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_delays_only_who_asks_it() {
    let three = on(TestBus::new());
    let Three { a, b, c, at_c, .. } = &three;
    let (mut anna, _) = Client::join(b).await;
    let (mut carl, c_id) = Client::join(c).await;
    at_c.delay(Duration::from_secs(3));
    let start = Instant::now();
    a.emit("news", 1).unwrap();
    anna.hears(r#"2["news",1]"#).await;
    assert!(start.elapsed() < Duration::from_millis(10));
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 2);
    assert_eq!(start.elapsed().as_secs(), 3);
    carl.hears(r#"2["news",1]"#).await;
    // Too slow: what it says later is nobody's.
    at_c.delay(Duration::from_secs(10));
    let error = a.to(&c_id).timeout(Duration::from_secs(1)).fetch_sockets().await.unwrap_err();
    assert_eq!(error.missing().unwrap().count, 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(a.stats().cluster.strays, 1);
}

#[tokio::test(start_paused = true)]
async fn repeated_answers_count_once() {
    let three = on(TestBus::new());
    let Three { a, b, at_b, at_c, .. } = &three;
    let (_anna, _) = Client::join(b).await;
    // Asked twice, they answer twice.
    at_b.twice(true);
    at_c.twice(true);
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(a.server_side_call("x", ()).await.unwrap().len(), 2);
    settle().await;
    assert_eq!(a.stats().cluster.strays, 4, "one of each server and question");
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_down_everybody_serves_their_own() {
    let states = Log::default();
    let noted = states.clone();
    let three = built(TestBus::new(), |builder| {
        let noted = noted.clone();
        builder.on_cluster_state(move |state| {
            noted.note(match state {
                State::Down { cause, .. } => format!("down: {cause}"),
                other => format!("{other:?}"),
            });
        })
    });
    let Three { a, b, at_b, .. } = &three;
    let (mut anna, _) = Client::join(a).await;
    let (mut ben, b_id) = Client::join(b).await;
    settle().await;
    assert_eq!(states.take(), ["Up", "Up", "Up"]);
    at_b.cut(true);
    settle().await;
    assert_eq!(states.take(), ["down: cut by the test"]);
    assert!(!b.cluster_state().unwrap().borrow().is_up() && a.cluster_state().unwrap().borrow().is_up());
    let start = Instant::now();
    b.emit("news", 1).unwrap();
    ben.hears(r#"2["news",1]"#).await;
    b.to(&b_id).sockets_join("r");
    assert_eq!(b.of("/").sockets_in("r").len(), 1);
    let down = || BusError::Down("cut by the test".into());
    assert_eq!(b.server_side_emit("x", ()), Err(ClusterError::Bus(down())));
    let error = b.server_side_call("x", ()).await.unwrap_err();
    assert_eq!((error.error.clone(), error.missing()), (ClusterError::Bus(down()), None));
    let error = b.fetch_sockets().await.unwrap_err();
    assert_eq!((error.error, error.partial.len()), (ClusterError::Bus(down()), 1));
    assert_eq!(b.server_count().await, Err(down()));
    assert_eq!(b.all_rooms().await.unwrap_err().into_partial().len(), 2);
    let call = tokio::spawn(b.call::<u32>("n", ()).into_future());
    ben.hears(r#"20["n"]"#).await;
    ben.say("30[1]").await;
    let answers = call.await.unwrap();
    assert_eq!((answers.bus.clone(), answers.is_complete()), (Some(down()), false));
    assert_eq!(answers.into_values(), [1]);
    assert!(start.elapsed() < Duration::from_secs(1), "nothing waits for what cannot come");
    assert_eq!(b.stats().cluster.unsent, 7);
    anna.hears_nothing().await;
    at_b.cut(false);
    b.emit("back", 2).unwrap();
    anna.hears(r#"2["back",2]"#).await;
    b.close().await;
    settle().await;
    assert!(states.take().contains(&"Closed".to_owned()));
    assert_eq!(b.server_side_emit("x", ()), Err(ClusterError::Bus(BusError::Closed)));
    assert_eq!(a.server_count().await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_only_one_server_has() {
    let bus = TestBus::new();
    let a = Server::builder().adapter(bus.node("a")).namespace("/only", |ns| ns).build().unwrap();
    let b = Server::builder().adapter(bus.node("b")).build().unwrap();
    let start = Instant::now();
    assert!(a.of("/only").fetch_sockets().await.unwrap().is_empty());
    assert!(a.of("/only").call::<u32>("x", 1).await.is_complete());
    assert_eq!((a.of("/only").server_count().await, a.server_count().await), (Ok(1), Ok(2)));
    assert_eq!(start.elapsed().as_secs(), 0);
    assert!(b.find("/only").is_none());
}

#[tokio::test(start_paused = true)]
async fn namespaces_come_and_go_on_the_bus() {
    let three = built(TestBus::new(), |builder| builder.dynamic_namespace("/room/{id}", |ns| ns));
    let Three { a, b, .. } = &three;
    let mut anna = Client::open(a).await;
    anna.say("0/room/1,").await;
    anna.hear().await;
    let mut ben = Client::open(b).await;
    for _ in 0..3 {
        ben.say("0/room/1,").await;
        ben.hear().await;
        a.of("/room/1").emit("hello", 1).unwrap();
        ben.hears(r#"2/room/1,["hello",1]"#).await;
        anna.hears(r#"2/room/1,["hello",1]"#).await;
        assert_eq!(a.of("/room/1").server_count().await, Ok(2));
        ben.say("1/room/1,").await;
        settle().await;
        assert!(b.find("/room/1").is_none());
        assert_eq!(a.of("/room/1").server_count().await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_said_on_the_bus_does_harm() {
    let three = on(TestBus::new());
    let Three { a, b, bus, .. } = &three;
    let (mut anna, a_id) = Client::join(a).await;
    let say = |from: Option<&str>, body: Body| {
        bus.inject(&Message { from: from.map(Into::into), namespace: "/".into(), body });
    };
    let request: Arc<str> = "guess".into();
    let options =
        Options { rooms: vec![a_id.as_str().into(), "a".into(), a_id.as_str().into()], ..Options::default() };
    let answer = Payload::args(&1).unwrap();
    for from in [None, Some("stranger"), Some("emitter"), Some("b")] {
        for body in [
            Body::Sockets { request: request.clone(), sockets: Vec::new() },
            Body::Rooms { request: request.clone(), rooms: vec!["r".into()] },
            Body::ClientCount { request: request.clone(), count: u64::MAX },
            Body::ClientAck { request: request.clone(), answer: answer.clone() },
            Body::ServerEventAck { request: request.clone(), answer: answer.clone() },
            Body::Done { request: request.clone() },
            Body::JoinOne { request: request.clone(), socket: "nobody".into(), room: "r".into() },
            Body::RoomsOf { request: request.clone(), socket: "nobody".into() },
            Body::Custom { request: request.clone(), data: answer.clone() },
            Body::SocketIds { request: request.clone(), rooms: Vec::new() },
            Body::Join { options: options.clone(), rooms: Vec::new() },
            Body::Leave { options: options.clone(), rooms: vec!["never joined".into()] },
            Body::Disconnect {
                options: Options { rooms: vec!["nobody".into()], ..Options::default() },
                close: true,
            },
            Body::InitialHeartbeat,
            Body::Heartbeat,
            Body::Close,
            Body::ServerEvent { payload: Payload::event("x", &()).unwrap(), request: Some(request.clone()) },
            Body::Broadcast {
                payload: Payload::event("from afar", &1).unwrap(),
                options: Options {
                    rooms: vec!["nobody".into()],
                    flags: Flags { timeout: Some(Duration::MAX), ..Flags::default() },
                    ..options.clone()
                },
                request: Some(request.clone()),
            },
        ] {
            say(from, body);
        }
    }
    // A room said twice is one room.
    let payload = Payload::event("hello", &1).unwrap();
    say(Some("emitter"), Body::Broadcast { payload, options, request: None });
    anna.hears(r#"2["hello",1]"#).await;
    anna.hears_nothing().await;
    assert!(a.stats().cluster.strays > 0);
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(b.fetch_sockets().await.unwrap().len(), 1);
    assert_eq!((a.stats().tasks, a.stats().acks), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn old_questions_about_one_socket_are_answered_by_who_has_it() {
    let three = on(TestBus::new());
    let Three { a, bus, .. } = &three;
    let (mut anna, a_id) = Client::join(a).await;
    let socket = a.of("/").socket(&a_id).unwrap();
    let ask = |body: Body| {
        bus.inject(&Message { from: Some("old".into()), namespace: "/".into(), body });
    };
    let (request, id): (Arc<str>, Arc<str>) = ("q".into(), a_id.as_str().into());
    ask(Body::JoinOne { request: request.clone(), socket: id.clone(), room: "r".into() });
    settle().await;
    assert!(socket.is_in("r"));
    ask(Body::LeaveOne { request: request.clone(), socket: id.clone(), room: "r".into() });
    settle().await;
    assert!(!socket.is_in("r"));
    ask(Body::DisconnectOne { request, socket: id, close: false });
    anna.hears("1").await;
}

/// A bus that has channels for rooms.
#[derive(Clone)]
struct Watching(TestBusNode, Arc<Mutex<Vec<String>>>);

impl sockeye::cluster::Bus for Watching {
    fn name(&self) -> Arc<str> {
        self.0.name()
    }
    fn start(&self, inbox: sockeye::cluster::Inbox) {
        self.0.start(inbox);
    }
    fn open(&self, namespace: &str) -> sockeye::cluster::BusFuture<()> {
        self.0.open(namespace)
    }
    fn close(&self, namespace: &str) {
        self.0.close(namespace);
    }
    fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.0.publish(message)
    }
    fn respond(&self, asker: &sockeye::cluster::Asker, message: &Message) -> Result<(), BusError> {
        self.0.respond(asker, message)
    }
    fn peers(&self, namespace: &str) -> sockeye::cluster::BusFuture<sockeye::cluster::Peers> {
        self.0.peers(namespace)
    }
    fn state(&self) -> tokio::sync::watch::Receiver<State> {
        self.0.state()
    }
    fn wants_rooms(&self) -> bool {
        true
    }
    fn rooms(&self, namespace: &str, changes: &[RoomChange]) {
        let mut log = self.1.lock().unwrap();
        log.extend(changes.iter().map(|change| match change {
            RoomChange::Opened(room) => format!("{namespace} +{room}"),
            RoomChange::Closed(room) => format!("{namespace} -{room}"),
        }));
    }
    fn settled(&self, _: &str) -> sockeye::cluster::BusFuture<()> {
        // As long as a subscription takes.
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(70)).await;
            Ok(())
        })
    }
    fn shutdown(&self) -> sockeye::cluster::BusFuture<()> {
        self.0.shutdown()
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_hears_of_rooms_that_get_their_first_member_or_lose_their_last() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let node = Watching(TestBus::new().node("a"), Arc::clone(&told));
    let a = Server::builder().adapter(node).build().unwrap();
    let (_anna, one) = Client::join(&a).await;
    let (_ben, two) = Client::join(&a).await;
    let take = || std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(take(), [format!("/ +{one}"), format!("/ +{two}")]);
    a.sockets_join(["r", "s"]);
    a.to(&one).sockets_leave("r");
    assert_eq!(take(), ["/ +r", "/ +s"]);
    a.to(&two).sockets_leave("r");
    assert_eq!(take(), ["/ -r"]);
    let start = Instant::now();
    let socket = a.of("/").socket(&one).unwrap();
    let joining = socket.join_confirmed("t");
    assert_eq!(joining.await, Ok(()));
    assert_eq!((start.elapsed().as_millis(), take()), (70, vec!["/ +t".to_owned()]));
    socket.leave("t");
    assert_eq!(take(), ["/ -t"]);
    a.disconnect_sockets(true);
    assert_eq!(sorted(take()), sorted([format!("/ -{one}"), format!("/ -{two}"), "/ -s".to_owned()]));
}
