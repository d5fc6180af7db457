//! Leaving: the order, the reasons, once each, and nothing left behind.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sockeye::{Ack, Reason, Server, Socket};
use tokio::time::sleep;

use crate::support::{Client, Log, eventually, is_empty, settle};

fn noting(log: &Log) -> sockeye::ServerBuilder {
    let (before, after) = (log.clone(), log.clone());
    Server::builder()
        .on_connect(async |socket: Socket| socket.join("room"))
        .on_disconnecting(move |socket: Socket, reason: Reason| {
            before.note(format!(
                "disconnecting {reason} rooms={} {}",
                socket.rooms().len(),
                socket.is_connected()
            ));
            async {}
        })
        .on_disconnect(move |socket: Socket, reason: Reason| {
            after.note(format!(
                "disconnect {reason} rooms={} {}",
                socket.rooms().len(),
                socket.is_connected()
            ));
            async {}
        })
        .on("ping", async || Ack("pong"))
        .namespace("/other", |ns| ns)
}

fn both(reason: &str) -> [String; 2] {
    [format!("disconnecting {reason} rooms=2 true"), format!("disconnect {reason} rooms=0 false")]
}

#[tokio::test(start_paused = true)]
async fn the_reference_order_and_reasons() {
    let log = Log::default();
    let server = noting(&log).build().unwrap();

    let (mut client, _) = Client::join(&server).await;
    client.say("1").await;
    settle().await;
    assert_eq!(log.take(), both("client namespace disconnect"));
    client.hears_nothing().await;

    let (client, id) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    drop(client);
    eventually(|| log.len() == 2).await;
    assert_eq!(log.take(), both("transport close"));
    assert_eq!(socket.disconnect_reason(), Some(Reason::TransportClose));
    assert!(!socket.disconnect());

    let (mut client, id) = Client::join(&server).await;
    assert!(server.of("/").socket(&id).unwrap().disconnect());
    client.hears("1").await;
    assert_eq!(log.take(), both("server namespace disconnect"));

    let (mut client, id) = Client::join(&server).await;
    assert!(server.of("/").socket(&id).unwrap().disconnect_with("kicked for spam"));
    client.hears("1").await;
    assert_eq!(log.take(), both("kicked for spam"));

    let (mut client, _) = Client::join(&server).await;
    client.alive = false;
    client.hears_the_end().await;
    eventually(|| log.len() == 2).await;
    assert_eq!(log.take(), both("ping timeout"));
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn disconnect_leaves_the_session_and_close_ends_it() {
    let log = Log::default();
    let server = noting(&log).build().unwrap();
    let (mut client, id) = Client::join(&server).await;
    client.say("0/other,").await;
    client.hear().await;
    server.of("/").socket(&id).unwrap().disconnect();
    client.hears("1").await;
    // What it sent before it heard of that is not held against it, and heard by nobody.
    client.say(r#"20["ping"]"#).await;
    client.say("30[]").await;
    client.hears_nothing().await;
    client.say("0").await;
    let again = crate::support::sid(&client.hear().await);
    assert_ne!(id, again);
    client.say(r#"20["ping"]"#).await;
    client.hears(r#"30["pong"]"#).await;
    log.take();
    server.of("/").socket(&again).unwrap().close();
    let mut last = client.hears_the_end().await;
    last.sort();
    assert_eq!(last, ["1", "1/other,"]);
    assert_eq!(log.take(), both("server namespace disconnect"));
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_send_its_own_client_away() {
    let log = Log::default();
    let noted = log.clone();
    let server = noting(&Log::default())
        .on("go", async |socket: Socket| {
            socket.emit("bye", 1).unwrap();
            socket.disconnect();
            assert!(socket.emit("too late", 1).is_err());
        })
        .on("go", move || {
            noted.note("second handler");
            async {}
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"20["go"]"#).await;
    client.hears(r#"2["bye",1]"#).await;
    client.hears("1").await;
    client.hears_nothing().await;
    assert_eq!(log.len(), 0, "no handler starts after the disconnect");
}

#[tokio::test(start_paused = true)]
async fn serial_handlers_that_have_not_started_never_do() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_serial("work", move || {
            noted.note("called");
            let log = noted.clone();
            async move {
                log.note("started");
                sleep(Duration::from_secs(1)).await;
            }
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"2["work"]"#).await;
    client.say(r#"2["work"]"#).await;
    client.say("1").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(log.take(), ["called", "started", "called"]);
    drop(client);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_kept_by_the_application_pins_nothing_big() {
    struct Big(#[allow(dead_code)] Vec<u8>);
    let big = Arc::new(Big(vec![0; 1 << 20]));
    let watch: Weak<Big> = Arc::downgrade(&big);
    let server = Server::builder().build().unwrap();
    let (client, id) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    socket.on("x", move || {
        let _ = &big;
        async {}
    });
    assert!(watch.upgrade().is_some());
    drop(client);
    eventually(|| !socket.is_connected()).await;
    assert!(watch.upgrade().is_none(), "listeners are released");
    assert_eq!(socket.transport(), None);
    socket.join("late");
    assert!(socket.rooms().is_empty());
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn panics_in_disconnect_handlers_change_nothing() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_disconnecting(async || -> () { panic!("a") })
        .on_disconnect(async || -> () { panic!("b") })
        .on_disconnect(move || {
            noted.note("still told");
            async {}
        })
        .build()
        .unwrap();
    let (client, _) = Client::join(&server).await;
    drop(client);
    eventually(|| log.len() == 1).await;
    is_empty(&server).await;
    assert_eq!(server.stats().panics, 2);
}

#[tokio::test(start_paused = true)]
async fn draining_tells_everybody_and_lets_nobody_in() {
    let log = Log::default();
    let server = noting(&log).build().unwrap();
    let (mut client, id) = Client::join(&server).await;
    server.of("/").socket(&id).unwrap().emit("last words", 1).unwrap();
    let draining = server.clone();
    let drain = tokio::spawn(async move { draining.drain(Duration::from_secs(30)).await });
    client.hears(r#"2["last words",1]"#).await;
    assert_eq!(client.hears_the_end().await, [""; 0]);
    drain.await.unwrap();
    assert_eq!(log.take(), both("server shutting down"));
    assert!(server.is_closing());
    is_empty(&server).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_handlers_but_not_for_ever() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on("save", move || {
            let log = noted.clone();
            async move {
                sleep(Duration::from_secs(3)).await;
                log.note("saved");
            }
        })
        .on("stuck", async || std::future::pending::<()>().await)
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"2["save"]"#).await;
    client.say(r#"2["stuck"]"#).await;
    settle().await;
    let start = tokio::time::Instant::now();
    let reading = tokio::spawn(async move { client.hears_the_end().await });
    server.drain(Duration::from_secs(10)).await;
    assert_eq!(log.take(), ["saved"]);
    assert_eq!(start.elapsed().as_secs(), 10);
    reading.await.unwrap();
}
