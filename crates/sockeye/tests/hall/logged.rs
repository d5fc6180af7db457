//! Connection state recovery through the log of a bus: by another server than the one that was left, in the order of the
//! log, nothing twice and nothing lost.

use std::future::IntoFuture;
use std::time::Duration;

use sockeye::cluster::{Body, Message, Options};
use sockeye::proto::Payload;
use sockeye::{ConnectionStateRecovery, RecoveryFailure, Server};
use sockeye_testkit::{TestBus, TestBusNode};

use crate::support::{Client, eventually, field, settle, sid};

struct Pair {
    bus: TestBus,
    a: Server,
    b: Server,
    at_a: TestBusNode,
    at_b: TestBusNode,
}

fn pair() -> Pair {
    pair_with(ConnectionStateRecovery::new())
}

fn pair_with(settings: ConnectionStateRecovery) -> Pair {
    let bus = TestBus::logging();
    let (at_a, at_b) = (bus.node("a"), bus.node("b"));
    let server = |node: &TestBusNode| {
        let builder = Server::builder().connection_state_recovery(settings.clone());
        builder.adapter(node.clone()).build().unwrap()
    };
    Pair { a: server(&at_a), b: server(&at_b), bus, at_a, at_b }
}

async fn join(server: &Server) -> (Client, String, String) {
    let mut client = Client::open(server).await;
    client.say("0").await;
    let answer = client.hear().await;
    (client, sid(&answer), field(&answer, "pid"))
}

/// Comes back; gives everything up to and including the answer.
async fn back(server: &Server, pid: &str, offset: &str) -> (Client, Vec<String>) {
    let mut client = Client::open(server).await;
    client.say(&format!(r#"0{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
    let mut heard = Vec::new();
    loop {
        heard.push(client.hear().await);
        if !heard.last().unwrap().starts_with('2') {
            return (client, heard);
        }
    }
}

/// The event without its offset, and the offset.
fn split(event: &str) -> (String, String) {
    let mut array: Vec<serde_json::Value> = serde_json::from_str(&event[1..]).unwrap();
    let offset = array.pop().unwrap();
    (serde_json::to_string(&array).unwrap(), offset.as_str().unwrap().to_owned())
}

/// The next event must be this; gives its offset.
async fn hears(client: &mut Client, event: &str) -> String {
    let (heard, offset) = split(&client.hear().await);
    assert_eq!(heard, event);
    offset
}

fn events(heard: &[String]) -> Vec<String> {
    heard[..heard.len() - 1].iter().map(|event| split(event).0).collect()
}

async fn gone(server: &Server) {
    eventually(|| server.stats().sockets == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_to_another_server() {
    let Pair { a, b, .. } = pair();
    let (mut client, id, pid) = join(&a).await;
    let socket = a.of("/").socket(&id).unwrap();
    socket.join("r");
    socket.set_info("ann").unwrap();
    a.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    drop(client);
    gone(&a).await;
    a.to("r").emit("two", 2).unwrap();
    b.to("r").emit("three", 3).unwrap();
    b.to("other").emit("not me", 0).unwrap();
    b.except("r").emit("not me", 0).unwrap();
    b.volatile().emit("not me", 0).unwrap();
    b.to(&id).emit("four", 4).unwrap();
    settle().await;
    let (mut client, heard) = back(&b, &pid, &offset).await;
    assert_eq!(events(&heard), [r#"["two",2]"#, r#"["three",3]"#, r#"["four",4]"#]);
    let answer = heard.last().unwrap();
    assert_eq!((sid(answer), field(answer, "pid")), (id.clone(), pid.clone()));
    let socket = b.of("/").socket(&id).unwrap();
    assert!(socket.recovered() && socket.is_in("r"));
    assert_eq!(socket.info_json().as_deref(), Some("\"ann\""));
    a.to("r").emit("live", 5).unwrap();
    hears(&mut client, r#"["live",5]"#).await;
    // A secret is good once.
    let (_other, heard) = back(&a, &pid, &offset).await;
    assert_ne!(sid(&heard[0]), id);
    // And back again, from where it is now.
    let (_, offset) = split(&heard_last_event(&b, &mut client).await);
    drop(client);
    gone(&b).await;
    let (_client, heard) = back(&a, &pid, &offset).await;
    assert_eq!((heard.len(), sid(&heard[0])), (1, id));
    assert_eq!((a.stats().recovered, b.stats().recovered, a.stats().not_recovered), (1, 1, 1));
}

async fn heard_last_event(server: &Server, client: &mut Client) -> String {
    server.emit("last", ()).unwrap();
    client.hear().await
}

#[tokio::test(start_paused = true)]
async fn everybody_hears_all_servers_in_one_order() {
    let Pair { a, b, .. } = pair();
    let (mut anna, _, _) = join(&a).await;
    let (mut ben, _, _) = join(&b).await;
    for n in 0..50 {
        [&a, &b][n % 2].emit("n", n).unwrap();
    }
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        at_a.push(anna.hear().await);
        at_b.push(ben.hear().await);
    }
    assert_eq!(at_a, at_b);
    anna.hears_nothing().await;
    ben.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn the_server_that_was_left_may_be_dead() {
    let Pair { a, b, at_a, .. } = pair();
    let (mut client, id, pid) = join(&a).await;
    b.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    drop(client);
    gone(&a).await;
    at_a.kill();
    drop(a);
    b.emit("two", 2).unwrap();
    settle().await;
    let (_client, heard) = back(&b, &pid, &offset).await;
    assert_eq!(events(&heard), [r#"["two",2]"#]);
    assert_eq!(sid(heard.last().unwrap()), id);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_down_in_order_hands_its_clients_over() {
    let Pair { a, b, .. } = pair();
    let (mut client, id, pid) = join(&a).await;
    a.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    a.drain(Duration::from_secs(1)).await;
    b.emit("two", 2).unwrap();
    settle().await;
    let (_client, heard) = back(&b, &pid, &offset).await;
    assert_eq!(events(&heard), [r#"["two",2]"#]);
    assert_eq!(sid(heard.last().unwrap()), id);
}

#[tokio::test(start_paused = true)]
async fn what_stays_on_one_server_spoils_no_offset() {
    let Pair { a, b, .. } = pair();
    let (mut client, id, pid) = join(&a).await;
    a.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    a.local().emit("here", "text").unwrap();
    assert_eq!(hears(&mut client, r#"["here","text"]"#).await, offset);
    a.volatile().emit("now", "text").unwrap();
    let mark = hears(&mut client, r#"["now","text"]"#).await;
    drop(client);
    gone(&a).await;
    let (_client, heard) = back(&b, &pid, &mark).await;
    assert_eq!((heard.len(), sid(&heard[0])), (1, id));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_logged_does_not_overtake_what_is() {
    let Pair { a, at_a, .. } = pair();
    let (mut client, id, _) = join(&a).await;
    let socket = a.of("/").socket(&id).unwrap();
    at_a.delay(Duration::from_secs(1));
    socket.emit("first", 1).unwrap();
    let call = tokio::spawn(socket.call::<u32>("second", 2).into_future());
    settle().await;
    a.emit("third", 3).unwrap();
    hears(&mut client, r#"["first",1]"#).await;
    client.hears(r#"20["second",2]"#).await;
    client.say("30[7]").await;
    hears(&mut client, r#"["third",3]"#).await;
    assert_eq!(call.await.unwrap(), Ok(7));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_in_other_words_is_known_again() {
    let Pair { a, b, .. } = pair();
    let (mut client, id, _) = join(&a).await;
    let socket = a.of("/").socket(&id).unwrap();
    // In a stream this is MessagePack, which knows no spaces and no escapes.
    let text = r#"["binary", "\u0061", {"_placeholder":true,"num":0}]"#.to_owned();
    let payload = Payload::from_parts(text, vec![bytes::Bytes::from_static(b"x")], true).unwrap();
    a.to(&id).emit_payload(payload);
    let call = tokio::spawn(socket.call::<u32>("then", ()).into_future());
    let heard = client.hear().await;
    assert!(heard.starts_with(r#"51-["binary","a",{"_placeholder":true,"num":0},"#), "{heard}");
    client.hears("<x>").await;
    client.hears(r#"20["then"]"#).await;
    client.say("30[1]").await;
    assert_eq!(call.await.unwrap(), Ok(1));
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn what_a_log_has_lost_holds_nothing_up() {
    let Pair { a, at_a, bus, .. } = pair();
    let (mut client, id, _) = join(&a).await;
    let socket = a.of("/").socket(&id).unwrap();
    at_a.deaf(true);
    socket.emit("lost", 1).unwrap();
    let call = tokio::spawn(socket.call::<u32>("then", ()).into_future());
    client.hears_nothing().await;
    at_a.deaf(false);
    bus.gap();
    client.hears(r#"20["then"]"#).await;
    client.say("30[1]").await;
    assert_eq!(call.await.unwrap(), Ok(1));
    assert_eq!(a.stats().cluster.gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn last_words_are_heard() {
    let Pair { a, at_a, .. } = pair();
    let (mut client, id, _) = join(&a).await;
    let (mut other, _, _) = join(&a).await;
    let socket = a.of("/").socket(&id).unwrap();
    at_a.delay(Duration::from_secs(1));
    a.emit("to all", 1).unwrap();
    socket.emit("sorry", 2).unwrap();
    socket.disconnect();
    client.hears(r#"2["to all",1]"#).await;
    client.hears(r#"2["sorry",2]"#).await;
    client.hears("1").await;
    client.hears_nothing().await;
    hears(&mut other, r#"["to all",1]"#).await;
    other.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_down_events_go_straight() {
    let Pair { a, b, at_a, .. } = pair();
    let (mut client, id, pid) = join(&a).await;
    let (mut far, _, _) = join(&b).await;
    a.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    hears(&mut far, r#"["one",1]"#).await;
    at_a.cut(true);
    a.emit("two", 2).unwrap();
    a.of("/").socket(&id).unwrap().emit("text", "three").unwrap();
    client.hears(r#"2["two",2]"#).await;
    // What the official client would take for an offset is one.
    assert_eq!(split(&client.hear().await), (r#"["text","three"]"#.to_owned(), offset.clone()));
    far.hears_nothing().await;
    drop(client);
    gone(&a).await;
    let (_client, heard) = back(&a, &pid, &offset).await;
    assert_ne!(sid(&heard[0]), id);
    let socket = a.of("/").sockets()[0].clone();
    assert_eq!(socket.recovery_failure(), Some(RecoveryFailure::Unavailable));
    at_a.cut(false);
    a.emit("four", 4).unwrap();
    hears(&mut far, r#"["four",4]"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_heard_nothing_yet_is_recovered_where_it_was() {
    let Pair { a, .. } = pair();
    a.emit("before", 0).unwrap();
    settle().await;
    let (client, id, pid) = join(&a).await;
    a.of("/").socket(&id).unwrap().set_data(7_u32);
    drop(client);
    gone(&a).await;
    a.emit("one", 1).unwrap();
    settle().await;
    let mut client = Client::open(&a).await;
    client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await;
    hears(&mut client, r#"["one",1]"#).await;
    assert_eq!(sid(&client.hear().await), id);
    // What no bus carries has waited here.
    assert_eq!(a.of("/").socket(&id).unwrap().data::<u32>().as_deref(), Some(&7));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_between_the_log_and_what_comes_live() {
    // The server is so far behind the log, or the log's answer so slow, that the two overlap in every way.
    for behind in [0, 1, 5, 20] {
        let Pair { a, b, at_b, .. } = pair();
        let (mut client, _, pid) = join(&a).await;
        a.emit("n", 0).unwrap();
        let offset = hears(&mut client, r#"["n",0]"#).await;
        drop(client);
        gone(&a).await;
        at_b.delay(Duration::from_millis(behind));
        let talker = tokio::spawn({
            let a = a.clone();
            async move {
                for n in 1..=100 {
                    a.emit("n", n).unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        let (mut client, heard) = back(&b, &pid, &offset).await;
        let mut heard = events(&heard);
        assert!(heard.len() >= 25, "{behind}: {}", heard.len());
        talker.await.unwrap();
        while heard.len() < 100 {
            heard.push(split(&client.hear().await).0);
        }
        let expected: Vec<_> = (1..=100).map(|n| format!(r#"["n",{n}]"#)).collect();
        assert_eq!(heard, expected, "behind by {behind} ms");
        client.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_much_or_too_late_is_not_recovered() {
    let Pair { a, b, .. } =
        pair_with(ConnectionStateRecovery::new().max_bytes(1_000).window(Duration::from_secs(10)));
    for (wait, text, recovered) in
        [(1, "short", true), (1, &*"long".repeat(300), false), (11, "short", false)]
    {
        let (mut client, id, pid) = join(&a).await;
        a.emit("one", 1).unwrap();
        let offset = hears(&mut client, r#"["one",1]"#).await;
        drop(client);
        gone(&a).await;
        a.emit("text", text).unwrap();
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let (client, heard) = back(&b, &pid, &offset).await;
        assert_eq!(sid(heard.last().unwrap()) == id, recovered, "{wait} {}", text.len());
        drop(client);
        gone(&b).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_on_the_way_back_does_not_get_the_session() {
    let bus = TestBus::logging();
    let server = |name: &str, open: bool| {
        let builder = Server::builder().connection_state_recovery(ConnectionStateRecovery::new());
        let builder = builder.adapter(bus.node(name));
        match open {
            true => builder.build().unwrap(),
            false => builder
                .middleware(async |_: sockeye::Socket| Err::<(), _>(sockeye::Refusal::new("banned")))
                .build()
                .unwrap(),
        }
    };
    let (a, b) = (server("a", true), server("b", false));
    let (mut client, id, pid) = join(&a).await;
    a.emit("one", 1).unwrap();
    let offset = hears(&mut client, r#"["one",1]"#).await;
    drop(client);
    gone(&a).await;
    let (_refused, heard) = back(&b, &pid, &offset).await;
    assert!(heard[0].starts_with('4'), "{heard:?}");
    let (_client, heard) = back(&a, &pid, &offset).await;
    assert_ne!(sid(&heard[0]), id);
}

#[tokio::test(start_paused = true)]
async fn emitters_are_logged_like_everybody() {
    let Pair { a, b, bus, .. } = pair();
    let (mut client, _, pid) = join(&a).await;
    let say = |n: u32| {
        let body = Body::Broadcast {
            payload: Payload::event("n", &n).unwrap(),
            options: Options::default(),
            request: None,
        };
        bus.inject(&Message { from: Some("emitter".into()), namespace: "/".into(), body });
    };
    say(1);
    let offset = hears(&mut client, r#"["n",1]"#).await;
    drop(client);
    gone(&a).await;
    say(2);
    settle().await;
    let (_client, heard) = back(&b, &pid, &offset).await;
    assert_eq!(events(&heard), [r#"["n",2]"#]);
}
