//! From polling to WebSocket: nothing lost, nothing doubled, nothing reordered, and a failed attempt hurts nobody.
#![allow(missing_docs)]

mod support;

use sockeye_engine::{Message, Reason, Session, Transport};
use support::*;

fn poll(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

fn socket(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=websocket&sid={sid}")
}

async fn polling(server: &mut Server) -> (String, Session) {
    let id = server.open_polling().await;
    (id, server.opened().await)
}

/// Starts a poll and returns when the server holds it.
async fn hold(server: &Server, id: &str, session: &Session) -> Http {
    let mut http = server.http().await;
    http.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", poll(id))).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    http
}

#[tokio::test]
async fn the_whole_way() {
    let mut server = start().await;
    let (id, session) = polling(&mut server).await;
    let mut waiting = hold(&server, &id, &session).await;
    let mut ws = server.ws_at(&socket(&id)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    // The poll that waits is released, and so is every one that comes before the upgrade is done.
    assert_eq!(waiting.reply().await.text(), "6");
    assert_eq!(server.get(&poll(&id)).await.text(), "6");
    // Until then messages wait or go by polling, in order.
    session.send([&Message::text("one")]).unwrap();
    assert_eq!(session.transport(), Transport::Polling);
    // Packets may come behind the one that completes the upgrade, in the same read.
    ws.raw(&[frame(0x81, b"5"), frame(0x81, b"4two"), frame(0x82, b"three")].concat()).await;
    let mut texts = Vec::new();
    while !texts.contains(&"4two".to_owned()) {
        texts.push(ws.text().await);
    }
    assert_eq!(ws.binary().await, b"three");
    assert_eq!(texts, ["4one", "4two"]);
    assert_eq!(session.transport(), Transport::WebSocket);
    assert!(matches!(server.heard().await, Heard::Upgraded(Transport::WebSocket)));
    assert_eq!(server.engine.stats().upgraded, 1);

    // Polling is over.
    let reply = server.get(&poll(&id)).await;
    assert_eq!((reply.status, reply.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
    assert_eq!(server.post(&poll(&id), "4x").await.status, 400);
    ws.send("4still here").await;
    assert_eq!(ws.text().await, "4still here");
    drop(ws);
    assert_eq!(server.closed().await, Reason::TransportClose);
    server.is_empty().await;
}

#[tokio::test]
async fn messages_that_were_polled_do_not_come_again() {
    let mut server = start().await;
    let (id, session) = polling(&mut server).await;
    session.send([&Message::text("one")]).unwrap();
    let mut ws = server.ws_at(&socket(&id)).await;
    assert_eq!(server.get(&poll(&id)).await.text(), "4one");
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    session.send([&Message::text("two")]).unwrap();
    ws.send("5").await;
    assert_eq!(ws.text().await, "4two");
    ws.send("4three").await;
    assert_eq!(ws.text().await, "4three");
}

#[tokio::test]
async fn the_probe_may_come_with_the_request() {
    let mut server = start().await;
    let (id, _) = polling(&mut server).await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let early = [frame(0x81, b"2probe"), frame(0x81, b"5"), frame(0x81, b"4all at once")].concat();
    let mut ws = Ws::over(stream, &socket(&id), "", &early).await.unwrap();
    assert_eq!(ws.text().await, "3probe");
    assert_eq!(ws.text().await, "4all at once");
}

#[tokio::test]
async fn a_failed_attempt_leaves_the_session_alone() {
    let mut server = start().await;
    let (id, session) = polling(&mut server).await;
    for wrong in [
        vec![frame(0x81, b"4message before the probe")],
        vec![frame(0x81, b"2"), frame(0x81, b"5")],
        vec![frame(0x81, b"x")],
        vec![frame(0x81, b"2probe"), frame(0x81, b"4message before the upgrade")],
        vec![frame(0x81, b"2probe"), frame(0x82, b"binary")],
        vec![b"\xff\xff\xff".to_vec()],
        vec![b"\x81\x012".to_vec()],
        vec![frame(0x81, b"2probe"), frame(0x88, b"")],
    ] {
        let mut ws = server.ws_at(&socket(&id)).await;
        ws.raw(&wrong.concat()).await;
        ws.close_code().await;
        assert!(session.is_open(), "{wrong:?}");
    }
    // Cut off at any point.
    for packets in [&[][..], &["2probe"][..]] {
        let mut ws = server.ws_at(&socket(&id)).await;
        for packet in packets {
            ws.send(packet).await;
            ws.text().await;
        }
        drop(ws);
    }
    // The last of these may still be attached; another attempt goes through as soon as it is noticed.
    let mut ws = loop {
        let mut ws = server.ws_at(&socket(&id)).await;
        ws.send("2probe").await;
        match ws.frame().await {
            Some(frame) if frame.first == 0x81 => break ws,
            _ => assert!(session.is_open()),
        }
    };
    ws.send("5").await;
    ws.send("4at last").await;
    assert_eq!(ws.text().await, "4at last");
    assert!(server.try_heard().is_some_and(|heard| matches!(heard, Heard::Upgraded(_))));
    drop(ws);
    assert_eq!(server.closed().await, Reason::TransportClose);
    server.is_empty().await;
}

#[tokio::test]
async fn a_second_candidate_is_sent_away() {
    let mut server = start().await;
    let (id, session) = polling(&mut server).await;
    let mut ws = server.ws_at(&socket(&id)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    let mut second = server.ws_at(&socket(&id)).await;
    assert_eq!(second.closed().await, Some(1000));
    ws.send("5").await;
    ws.send("4first").await;
    assert_eq!(ws.text().await, "4first");
    let mut third = server.ws_at(&socket(&id)).await;
    assert_eq!(third.closed().await, Some(1000));
    assert!(session.is_open());
    ws.send("4unharmed").await;
    assert_eq!(ws.text().await, "4unharmed");
}

#[tokio::test]
async fn a_post_under_way_is_taken_before_what_follows_on_the_websocket() {
    let mut server = start().await;
    let (id, _) = polling(&mut server).await;
    let mut post = server.http().await;
    post.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n4fi", poll(&id))).await;
    let mut ws = server.ws_at(&socket(&id)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws.raw(&[frame(0x81, b"5"), frame(0x81, b"4second")].concat()).await;
    post.send("rst").await;
    assert_eq!(post.reply().await.text(), "ok");
    assert_eq!(ws.text().await, "4first");
    assert_eq!(ws.text().await, "4second");
}

#[tokio::test]
async fn a_session_that_ends_takes_the_candidate_along() {
    let mut server = start().await;
    let (id, session) = polling(&mut server).await;
    let mut ws = server.ws_at(&socket(&id)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    session.abort(Reason::ForcedServerClose);
    assert_eq!(ws.closed().await, Some(1000));
    assert_eq!(server.closed().await, Reason::ForcedServerClose);
    server.is_empty().await;
}

#[tokio::test]
async fn where_upgrades_are_off_they_are_neither_offered_nor_done() {
    let server = Setup::new().config(|config| config.allow_upgrades = false).start().await;
    let reply = server.get("/socket.io/?EIO=4&transport=polling").await;
    assert!(reply.text().contains(r#""upgrades":[]"#), "{reply:?}");
    let id = sid(&reply.text()[1..]);
    let refused = Ws::connect(server.addr, &socket(&id), "").await.err().unwrap();
    assert_eq!((refused.status, refused.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
    assert_eq!(server.post(&poll(&id), "4x").await.status, 200);
}

#[tokio::test]
async fn a_candidate_of_another_revision_or_for_nobody() {
    let server = start().await;
    let id = server.open_polling().await;
    let v3 = socket(&id).replace("EIO=4", "EIO=3");
    let refused = Ws::connect(server.addr, &v3, "").await.err().unwrap();
    assert_eq!(refused.text(), r#"{"code":3,"message":"Bad request"}"#);
    let refused = Ws::connect(server.addr, &socket("nobody"), "").await.err().unwrap();
    assert_eq!(refused.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
}

/// Both sides talk all the time while the client upgrades; everything arrives once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_through_the_upgrade() {
    let mut server = start().await;
    for _ in 0..20 {
        let (id, session) = polling(&mut server).await;
        let talker = tokio::spawn(async move {
            for n in 0..200 {
                session.send([&Message::text(&format!("s{n}"))]).unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut got: Vec<String> = Vec::new();
        let mut poller = server.http().await;
        let mut poster = server.http().await;
        let mut said = 0;
        let take = |body: &str, got: &mut Vec<String>| {
            for packet in body.split('\u{1e}') {
                if let Some(text) = packet.strip_prefix('4') {
                    got.push(text.to_owned());
                }
            }
        };
        let mut ws = server.ws_at(&socket(&id)).await;
        for _ in 0..3 {
            assert_eq!(poster.post(&poll(&id), format!("4c{said}")).await.text(), "ok");
            said += 1;
            let reply = poller.get(&poll(&id)).await;
            take(reply.text(), &mut got);
        }
        ws.send("2probe").await;
        assert_eq!(ws.text().await, "3probe");
        let reply = poller.get(&poll(&id)).await;
        take(reply.text(), &mut got);
        ws.send("5").await;
        while said < 50 {
            ws.send(&format!("4c{said}")).await;
            said += 1;
        }
        while got.len() < 250 {
            take(&ws.text().await, &mut got);
        }
        talker.await.unwrap();
        let from = |who: char| got.iter().filter(|text| text.starts_with(who)).cloned().collect::<Vec<_>>();
        assert_eq!(from('s'), (0..200).map(|n| format!("s{n}")).collect::<Vec<_>>());
        assert_eq!(from('c'), (0..50).map(|n| format!("c{n}")).collect::<Vec<_>>());
        drop(ws);
        server.closed().await;
    }
    server.is_empty().await;
}

#[tokio::test]
async fn a_ping_before_the_upgrade_is_answered() {
    let mut server = start().await;
    let (id, _) = polling(&mut server).await;
    let mut ws = server.ws_at(&socket(&id)).await;
    ws.raw(&frame(0x89, b"one")).await;
    assert_eq!(ws.frame().await, Some(Frame { first: 0x8a, payload: b"one".to_vec() }));
    ws.raw(&[frame(0x81, b"2probe"), frame(0x89, b"two")].concat()).await;
    assert_eq!(ws.text().await, "3probe");
    assert_eq!(ws.frame().await, Some(Frame { first: 0x8a, payload: b"two".to_vec() }));
    ws.send("5").await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}
