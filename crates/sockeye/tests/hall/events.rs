//! Events in and out: order, who hears them, what happens to handlers that wait, panic, or get what they cannot read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::layer::{Incoming, Next};
use sockeye::proto::{Args, Payload};
use sockeye::{Ack, AckSender, Data, EmitError, EventName, Outcome, RawArgs, Refusal, Server, Socket};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::support::{Client, Log, eventually, is_empty, settle};

#[tokio::test(start_paused = true)]
async fn an_echo_and_its_answer() {
    let server = Server::builder()
        .on("echo", async |socket: Socket, Data(text): Data<String>| {
            socket.emit("echo", &text).unwrap();
            Ack(text.len())
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"27["echo","hello"]"#).await;
    client.hears(r#"2["echo","hello"]"#).await;
    client.hears("37[5]").await;
    client.say(r#"2["echo","again"]"#).await;
    client.hears(r#"2["echo","again"]"#).await;
    client.hears_nothing().await;
    drop(client);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn binary_both_ways() {
    let server = Server::builder()
        .on("flip", async |Data(bytes): Data<serde_bytes::ByteBuf>| {
            let mut bytes = bytes.into_vec();
            bytes.reverse();
            Ack(serde_bytes::ByteBuf::from(bytes))
        })
        .on("relay", async |socket: Socket, args: RawArgs| {
            socket.server().all_of_main().emit_payload(args.into_payload());
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"51-3["flip",{"_placeholder":true,"num":0}]"#).await;
    client.say_binary(b"abc").await;
    client.hears(r#"61-3[{"_placeholder":true,"num":0}]"#).await;
    client.hears("<cba>").await;
    client.say(r#"51-["relay",{"deep":[{"_placeholder":true,"num":0}]}]"#).await;
    client.say_binary(b"xyz").await;
    client.hears(r#"51-["relay",{"deep":[{"_placeholder":true,"num":0}]}]"#).await;
    client.hears("<xyz>").await;
}

/// `Server` has the verbs of its main namespace, except those that need a payload.
trait AllOfMain {
    fn all_of_main(&self) -> sockeye::Operator;
}

impl AllOfMain for Server {
    fn all_of_main(&self) -> sockeye::Operator {
        self.of("/").all()
    }
}

#[tokio::test(start_paused = true)]
async fn events_start_in_order_and_go_on_beside_each_other() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on("wait", move |Data(ms): Data<u64>| {
            let log = noted.clone();
            async move {
                log.note(format!("start {ms}"));
                sleep(Duration::from_millis(ms)).await;
                log.note(format!("end {ms}"));
            }
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    for ms in [30, 10, 20] {
        client.say(&format!(r#"2["wait",{ms}]"#)).await;
    }
    eventually(|| log.len() == 6).await;
    assert_eq!(log.take(), ["start 30", "start 10", "start 20", "end 10", "end 20", "end 30"]);
}

#[tokio::test(start_paused = true)]
async fn serial_handlers_wait_for_each_other_and_only_for_each_other() {
    let log = Log::default();
    let (noted, other) = (log.clone(), log.clone());
    let server = Server::builder()
        .on_serial("wait", move |Data(ms): Data<u64>| {
            let log = noted.clone();
            async move {
                log.note(format!("start {ms}"));
                sleep(Duration::from_millis(ms)).await;
                log.note(format!("end {ms}"));
                Ack(ms)
            }
        })
        .on("free", move || {
            other.note("free");
            async {}
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    for (id, ms) in [(0, 30), (1, 10), (2, 20)] {
        client.say(&format!(r#"2{id}["wait",{ms}]"#)).await;
    }
    client.say(r#"2["free"]"#).await;
    for answer in ["30[30]", "31[10]", "32[20]"] {
        client.hears(answer).await;
    }
    assert_eq!(log.take(), ["start 30", "free", "end 30", "start 10", "end 10", "start 20", "end 20"]);
    // Idle again: the next one starts at once.
    client.say(r#"23["wait",0]"#).await;
    client.hears("33[0]").await;
}

#[tokio::test(start_paused = true)]
async fn reading_pauses_while_too_many_handlers_are_unfinished() {
    let started = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (count, gates) = (started.clone(), gate.clone());
    let server = Server::builder()
        .max_handlers_per_socket(3)
        .on("work", move |Data(n): Data<u32>| {
            count.fetch_add(1, Ordering::SeqCst);
            let gate = gates.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ack(n)
            }
        })
        .on("other", async || Ack("quick"))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    let (mut neighbour, _) = Client::join(&server).await;
    for n in 0..10 {
        client.say(&format!(r#"2{n}["work",{n}]"#)).await;
    }
    settle().await;
    assert_eq!(started.load(Ordering::SeqCst), 3);
    neighbour.say(r#"20["other"]"#).await;
    neighbour.hears(r#"30["quick"]"#).await;
    // The heartbeat does not hold the pause against the client.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(started.load(Ordering::SeqCst), 3);
    for n in 0..10 {
        gate.add_permits(1);
        client.hears(&format!("3{n}[{n}]")).await;
    }
    assert_eq!(started.load(Ordering::SeqCst), 10);
    drop((client, neighbour));
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn serial_handlers_count_while_they_wait_for_their_turn() {
    let gate = Arc::new(Semaphore::new(0));
    let gates = gate.clone();
    let server = Server::builder()
        .max_handlers_per_socket(2)
        .on_serial("work", move |Data(n): Data<u32>| {
            let gate = gates.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ack(n)
            }
        })
        .on("after", async || Ack("after"))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    for n in 0..3 {
        client.say(&format!(r#"2{n}["work",{n}]"#)).await;
    }
    client.say(r#"29["after"]"#).await;
    client.hears_nothing().await;
    gate.add_permits(2);
    client.hears("30[0]").await;
    client.hears("31[1]").await;
    client.hears(r#"39["after"]"#).await;
    gate.add_permits(1);
    client.hears("32[2]").await;
    drop(client);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_socket_only() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on("now", async || -> () { panic!("at once") })
        .on("later", async || -> () {
            sleep(Duration::from_millis(1)).await;
            panic!("later")
        })
        .on("ping", async || Ack("pong"))
        .on_disconnect(move |reason: sockeye::Reason| {
            noted.note(reason.as_str());
            async {}
        })
        .build()
        .unwrap();
    let (mut neighbour, _) = Client::join(&server).await;
    for event in ["now", "later"] {
        let (mut client, _) = Client::join(&server).await;
        client.say(&format!(r#"2["{event}"]"#)).await;
        client.hears("1").await;
        assert_eq!(log.take(), ["server error"]);
    }
    neighbour.say(r#"20["ping"]"#).await;
    neighbour.hears(r#"30["pong"]"#).await;
    assert_eq!(server.stats().panics, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handlers_socket_may_be_kept() {
    let server = Server::builder()
        .keep_after_panic(true)
        .on("boom", async || -> () { panic!("boom") })
        .on("ping", async || Ack("pong"))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"2["boom"]"#).await;
    client.say(r#"20["ping"]"#).await;
    client.hears(r#"30["pong"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_counted_and_answered() {
    let build = |answers| {
        Server::builder()
            .error_acks(answers)
            .on("age", async |Data(age): Data<u8>| Ack(age))
            .on("must", async |ack: AckSender| ack.send("yes").unwrap())
            .build()
            .unwrap()
    };
    let server = build(true);
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"20["age","old"]"#).await;
    client.hears(r#"30[{"error":{"message":"bad payload"}}]"#).await;
    client.say(r#"2["age",300]"#).await;
    client.say(r#"2["must"]"#).await;
    client.say(r#"21["must"]"#).await;
    client.hears(r#"31["yes"]"#).await;
    client.say(r#"22["age",30]"#).await;
    client.hears("32[30]").await;
    assert_eq!(server.stats().mismatches, 3);

    let server = build(false);
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"20["age","old"]"#).await;
    client.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn several_listen_and_the_first_that_fits_answers() {
    let log = Log::default();
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    let server = Server::builder()
        .on_any(move |name: EventName, ack: Option<AckSender>| {
            a.note(format!("any {name} {}", ack.is_some()));
            async {}
        })
        .on("x", move |Data(n): Data<u32>| {
            b.note("number");
            async move { Ack(n) }
        })
        .on("x", move |ack: Option<AckSender>| {
            c.note(format!("second {}", ack.is_some()));
            async move {
                if let Some(ack) = ack {
                    ack.send("second").unwrap();
                }
            }
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"20["x",1]"#).await;
    client.hears("30[1]").await;
    assert_eq!(log.take(), ["any x false", "number", "second false"]);
    client.say(r#"21["x","one"]"#).await;
    client.hears(r#"31["second"]"#).await;
    assert_eq!(log.take(), ["any x false", "second true"]);
    client.say(r#"22["unheard"]"#).await;
    client.hears_nothing().await;
    assert_eq!(log.take(), ["any unheard false"]);
    assert_eq!(server.stats().unheard, 1);
}

#[tokio::test(start_paused = true)]
async fn a_sockets_own_listeners_come_and_go() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_connect(move |socket: Socket| {
            let (a, b, c) = (noted.clone(), noted.clone(), noted.clone());
            async move {
                let first = socket.on("x", move || {
                    a.note("on");
                    async {}
                });
                socket.once("x", move || {
                    b.note("once");
                    async {}
                });
                socket.on("stop", move |socket: Socket| {
                    c.note(format!("off {} {}", socket.off(first), socket.off(first)));
                    async {}
                });
            }
        })
        .build()
        .unwrap();
    let (mut client, id) = Client::join(&server).await;
    client.say(r#"2["x"]"#).await;
    client.say(r#"2["x"]"#).await;
    client.say(r#"2["stop"]"#).await;
    client.say(r#"2["x"]"#).await;
    settle().await;
    assert_eq!(log.take(), ["on", "once", "on", "off true false"]);
    let socket = server.of("/").socket(&id).unwrap();
    let other = log.clone();
    let any = socket.on_any(move |name: EventName| {
        other.note(format!("any {name}"));
        async {}
    });
    assert_eq!(socket.off_all("stop"), 1);
    client.say(r#"2["stop"]"#).await;
    settle().await;
    assert_eq!(log.take(), ["any stop"]);
    assert!(socket.off(any));
}

#[tokio::test(start_paused = true)]
async fn layers_see_events_and_may_stop_them() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .layer(move |event: Incoming, next: Next| {
            let log = noted.clone();
            async move {
                let outcome = next.run().await;
                log.note(format!("{} {:?}", event.name(), outcome));
                outcome
            }
        })
        .layer(async |event: Incoming, next: Next| {
            if event.name() == "secret" {
                return Err(Refusal::new("no"));
            }
            Ok::<Outcome, Refusal>(next.run().await)
        })
        .on("hi", async |Data(n): Data<u32>| Ack(n))
        .on("hi", async || {})
        .on("secret", async || Ack("told"))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"20["hi",7]"#).await;
    client.hears("30[7]").await;
    client.say(r#"21["secret"]"#).await;
    client.hears(r#"31[{"error":{"message":"no"}}]"#).await;
    client.say(r#"22["hi","x"]"#).await;
    // The second handler takes the duty over and answers nothing in particular.
    client.hears("32[]").await;
    client.say(r#"2["nobody"]"#).await;
    settle().await;
    let log = log.take();
    assert_eq!(log.len(), 4, "{log:?}");
    assert!(log[0].starts_with("hi Answered"), "{log:?}");
    assert!(log[1].starts_with("secret Refused"), "{log:?}");
    assert_eq!(log[3], "nobody Unheard");
}

#[tokio::test(start_paused = true)]
async fn outgoing_listeners_see_emits_and_broadcasts() {
    let log = Log::default();
    let (all, own) = (log.clone(), log.clone());
    let server = Server::builder()
        .on_any_outgoing(move |_: &Socket, payload: &Payload| all.note(format!("all {}", payload.text())))
        .build()
        .unwrap();
    let (mut client, id) = Client::join(&server).await;
    let (mut other, _) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    let listener = socket.on_any_outgoing(move |_, payload| own.note(format!("own {}", payload.text())));
    socket.emit("a", 1).unwrap();
    server.to(&id).emit("b", ()).unwrap();
    assert_eq!(log.take(), [r#"all ["a",1]"#, r#"own ["a",1]"#, r#"all ["b"]"#, r#"own ["b"]"#]);
    client.hears(r#"2["a",1]"#).await;
    client.hears(r#"2["b"]"#).await;
    assert!(socket.off(listener));
    server.emit("c", Args(())).unwrap();
    assert_eq!(log.take(), [r#"all ["c"]"#, r#"all ["c"]"#]);
    client.hears(r#"2["c"]"#).await;
    other.hears(r#"2["c"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_is_told_and_send_waits() {
    let server = Server::builder().max_queue(4_000).build().unwrap();
    let mut client = Client::open_with(&server, "EIO=4", 512).await;
    client.say("0").await;
    let id = crate::support::sid(&client.hear().await);
    let socket = server.of("/").socket(&id).unwrap();
    let text = "x".repeat(1_000);
    let mut sent = 0;
    let error = loop {
        match socket.emit("x", &text) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100);
    };
    assert_eq!(error, EmitError::Full);
    assert!(socket.is_connected(), "the caller was told, so nobody is closed");
    let (waiting, text_) = (socket.clone(), text.clone());
    let send = tokio::spawn(async move { waiting.send("last", &text_).await });
    settle().await;
    assert!(!send.is_finished());
    for _ in 0..sent {
        client.hears(&format!(r#"2["x","{text}"]"#)).await;
    }
    client.hears(&format!(r#"2["last","{text}"]"#)).await;
    send.await.unwrap().unwrap();
    drop(client);
    eventually(|| !socket.is_connected()).await;
    assert_eq!(socket.emit("x", ()), Err(EmitError::Closed));
    assert_eq!(socket.send("x", ()).await, Err(EmitError::Closed));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_is_waiting() {
    let outgoing = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&outgoing);
    let server = Server::builder()
        .max_queue(30_000)
        .on_any_outgoing(move |_, _| {
            heard.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let mut client = Client::open_with(&server, "EIO=3", 512).await;
    eventually(|| server.stats().sockets == 1).await;
    let socket = server.of("/").sockets().remove(0);
    client.hear().await;
    // For this generation everything is written in ASCII: three times as long as the payload is.
    let text = "é".repeat(4_000);
    socket.emit("one", &text).unwrap();
    let (waiting, long) = (socket.clone(), text.clone());
    let send = tokio::spawn(async move { waiting.send("two", &long).await });
    // Time only passes while nobody is busy.
    sleep(Duration::from_secs(1)).await;
    assert!(!send.is_finished());
    assert_eq!(client.hear().await.len(), r#"2["one",""]"#.len() + 24_000);
    assert_eq!(client.hear().await.len(), r#"2["two",""]"#.len() + 24_000);
    send.await.unwrap().unwrap();
    assert_eq!(outgoing.load(Ordering::Relaxed), 2, "each is heard of once");
}

#[tokio::test(start_paused = true)]
async fn volatile_events_are_dropped_for_who_is_busy_and_nobody_else() {
    let server = Server::builder().build().unwrap();
    let mut slow = Client::open_with(&server, "EIO=4", 256).await;
    slow.say("0").await;
    let id = crate::support::sid(&slow.hear().await);
    let (mut quick, _) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    let text = "x".repeat(2_000);
    socket.emit("big", &text).unwrap();
    settle().await;
    server.volatile().emit("cursor", 1).unwrap();
    socket.volatile().emit("cursor", 2).unwrap();
    quick.hears(r#"2["cursor",1]"#).await;
    slow.hears(&format!(r#"2["big","{text}"]"#)).await;
    slow.hears_nothing().await;
    server.volatile().emit("cursor", 3).unwrap();
    slow.hears(r#"2["cursor",3]"#).await;
    assert_eq!(server.stats().volatile_dropped, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_too_slowly_for_a_broadcast_is_closed() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .max_queue(10_000)
        .on_disconnect(move |reason: sockeye::Reason| {
            noted.note(reason.as_str());
            async {}
        })
        .build()
        .unwrap();
    let mut slow = Client::open_with(&server, "EIO=4", 256).await;
    slow.say("0").await;
    slow.hear().await;
    let (mut quick, _) = Client::join(&server).await;
    let text = "x".repeat(1_000);
    for _ in 0..20 {
        server.emit("x", &text).unwrap();
        quick.hears(&format!(r#"2["x","{text}"]"#)).await;
    }
    eventually(|| log.len() == 1).await;
    assert_eq!(log.take(), ["slow consumer"]);
    assert_eq!(server.stats().slow_consumers, 1);
    quick.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_writes_and_does_not_read_is_not_read_either() {
    let server = Server::builder()
        .max_queue(20_000)
        .on("echo", async |socket: Socket, args: RawArgs| {
            socket.emit("echo", args.first::<String>().unwrap()).unwrap()
        })
        .build()
        .unwrap();
    let mut client = Client::open_with(&server, "EIO=4", 8_000).await;
    client.say("0").await;
    client.hear().await;
    let text = "x".repeat(1_000);
    let mut said = 0;
    // Until the server stops reading and the pipe is full.
    while tokio::time::timeout(Duration::from_secs(1), client.say(&format!(r#"2["echo","{said:04}{text}"]"#)))
        .await
        .is_ok()
    {
        said += 1;
        assert!(said < 1_000, "the server never stopped reading");
    }
    for n in 0..said {
        client.hears(&format!(r#"2["echo","{n:04}{text}"]"#)).await;
    }
}

trait First {
    fn first<T: serde::de::DeserializeOwned>(&self) -> Option<T>;
}

impl First for RawArgs {
    fn first<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        self.event_arguments().arg().ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_pipelined_events_keep_their_order() {
    let server = Server::builder()
        .on("n", async |socket: Socket, Data(n): Data<u32>| {
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
            socket.emit("n", n).unwrap();
        })
        .on("m", async |socket: Socket, Data(m): Data<u32>| socket.emit("m", m).unwrap())
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    for m in 0..100 {
        client.say(&format!(r#"2["m",{m}]"#)).await;
    }
    for m in 0..100 {
        client.hears(&format!(r#"2["m",{m}]"#)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_events_are_dropped_refused_or_the_end() {
    use sockeye::{EventRate, Excess};
    for excess in [Excess::Drop, Excess::Refuse, Excess::Disconnect] {
        let server = Server::builder()
            .event_rate(EventRate::per_second(10).burst(2).excess(excess))
            .on("x", async |Data(n): Data<u32>| Ack(n))
            .build()
            .unwrap();
        let (mut client, _) = Client::join(&server).await;
        let (mut neighbour, _) = Client::join(&server).await;
        for n in 0..3 {
            client.say(&format!(r#"2{n}["x",{n}]"#)).await;
        }
        client.hears("30[0]").await;
        client.hears("31[1]").await;
        match excess {
            Excess::Refuse => client.hears(r#"32[{"error":{"message":"too many events"}}]"#).await,
            Excess::Disconnect => client.hears("1").await,
            _ => client.hears_nothing().await,
        }
        assert_eq!(server.stats().too_many_events, 1);
        neighbour.say(r#"20["x",9]"#).await;
        neighbour.hears("30[9]").await;
        if excess != Excess::Disconnect {
            sleep(Duration::from_millis(200)).await;
            client.say(r#"23["x",3]"#).await;
            client.hears("33[3]").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn coming_and_going_does_not_get_around_the_bound() {
    let go = Arc::new(Semaphore::new(0));
    let wait = |go: &Arc<Semaphore>| {
        let go = Arc::clone(go);
        move || {
            let go = Arc::clone(&go);
            async move { go.acquire_owned().await.unwrap().forget() }
        }
    };
    let server = Server::builder()
        .max_handlers_per_socket(8)
        .namespace("/event", |ns| ns.on("wait", wait(&go)))
        .namespace("/serial", |ns| ns.on_serial("wait", wait(&go)))
        .namespace("/connect", |ns| ns.on_connect(wait(&go)))
        .namespace("/disconnect", |ns| ns.on_disconnect(wait(&go)))
        .build()
        .unwrap();
    for name in ["/event", "/serial", "/connect", "/disconnect"] {
        let mut client = Client::open(&server).await;
        for _ in 0..200 {
            client.say(&format!("0{name},")).await;
            client.say(&format!("2{name},[\"wait\"]")).await;
            client.say(&format!("1{name},")).await;
        }
        eventually(|| server.stats().tasks >= 8).await;
        settle().await;
        let tasks = server.stats().tasks;
        assert!(tasks <= 10, "{name}: {tasks} handlers wait for one client");
        // As they end, it goes on, to the last.
        let connected = server.stats().connected;
        go.add_permits(200);
        eventually(|| server.stats().tasks == 0 && server.stats().sockets == 0).await;
        eventually(|| server.stats().connected.is_multiple_of(200)).await;
        assert!(server.stats().connected > connected);
        go.forget_permits(usize::MAX);
        drop(client);
    }
    is_empty(&server).await;
}
