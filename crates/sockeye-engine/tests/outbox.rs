//! The way out: bounds, back-pressure, turns, and peers that do not read. Over real sockets.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::{DeflateOptions, Flow, Incoming, Message, Reason, SendError, turn};
use support::*;

const WS: &str = "/socket.io/?EIO=4&transport=websocket";

fn big(bytes: usize) -> Message {
    Message::binary(vec![7; bytes].into())
}

#[tokio::test]
async fn batches_are_taken_whole_or_not_at_all() {
    let mut server = Setup::new().config(|config| config.max_queue = 10_000).start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    // Nothing leaves without a poll.
    session.send([&big(3000), &big(3000)]).unwrap();
    let queued = session.queued();
    assert_eq!(session.send([&big(1000), &big(5000)]), Err(SendError::Full));
    assert_eq!(session.queued(), queued, "half a batch was taken");
    session.send([&big(1000)]).unwrap();
    assert_eq!(server.engine.stats().overflows, 1);

    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.ready(9000).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
    assert_eq!(server.get(&target).await.text().split('\u{1e}').count(), 3);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(session.queued(), 0);
    // What is larger than the bound goes where nothing is in its way.
    session.send([&big(50_000)]).unwrap();
    assert_eq!(session.send([&big(1)]), Err(SendError::Full));

    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.ready(9000).await }
    });
    tokio::task::yield_now().await;
    session.overflow();
    assert_eq!(waiting.await.unwrap(), Err(SendError::Closed));
    assert_eq!(server.closed().await, Reason::SlowConsumer);
    assert_eq!(session.send([&big(1)]), Err(SendError::Closed));
    server.is_empty().await;
}

#[tokio::test]
async fn volatile_goes_now_or_never() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    assert!(!session.send_volatile([&Message::text("nobody asks")]));
    assert_eq!(server.engine.stats().volatile_dropped, 1);
    let mut http = server.http().await;
    http.send(&format!("GET /socket.io/?EIO=4&transport=polling&sid={id} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    assert!(session.send_volatile([&Message::text("asked")]));
    assert!(!session.send_volatile([&Message::text("too late")]));
    assert_eq!(http.reply().await.text(), "4asked");

    let mut ws = server.ws().await;
    let session = server.opened().await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    assert!(session.send_volatile([&Message::text("one")]));
    assert_eq!(ws.text().await, "4one");
    // Until the socket is full.
    while session.queued() == 0 {
        session.send([&big(100_000)]).unwrap();
    }
    assert!(!session.send_volatile([&Message::text("two")]));
}

#[tokio::test]
async fn what_is_sent_in_a_turn_leaves_together_and_in_order() {
    let mut server = start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    turn(|| {
        for n in 0..100 {
            session.send([&Message::text(&n.to_string()), &Message::binary(vec![n].into())]).unwrap();
        }
        assert!(session.queued() > 0, "written before the turn was over");
        turn(|| session.send([&Message::text("inner")]).unwrap());
        assert!(session.queued() > 0, "the inner turn wrote");
    });
    assert_eq!(session.queued(), 0);
    for n in 0..100u8 {
        assert_eq!(ws.text().await, format!("4{n}"));
        assert_eq!(ws.binary().await, [n]);
    }
    assert_eq!(ws.text().await, "4inner");
    // A turn that ends in a panic still ends.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        turn(|| {
            session.send([&Message::text("before")]).unwrap();
            panic!("as ordered");
        })
    }));
    assert!(result.is_err());
    assert_eq!(ws.text().await, "4before");
    session.send([&Message::text("after")]).unwrap();
    assert_eq!(ws.text().await, "4after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_send_whole_batches() {
    let mut server = start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    let threads: Vec<_> = (0..4u8)
        .map(|thread| {
            let session = session.clone();
            std::thread::spawn(move || {
                for n in 0..500 {
                    let (text, bytes) =
                        (Message::text(&format!("{thread}:{n}")), Message::binary(vec![thread; 300].into()));
                    if n % 2 == 0 {
                        session.send([&text, &bytes]).unwrap();
                    } else {
                        turn(|| session.send([&text, &bytes]).unwrap());
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..2000 {
        let text = ws.text().await;
        let (thread, n) = text[1..].split_once(':').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(n.parse::<usize>().unwrap(), next[thread]);
        next[thread] += 1;
        assert_eq!(ws.binary().await, [thread as u8; 300], "torn apart");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// H4: the client writes far more than any buffer holds and reads nothing. It has to wait, and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_client_that_does_not_read_loses_nothing() {
    let mut server = start().await;
    let ws = server.ws().await;
    let session = server.opened().await;
    let (mut read, mut write) = tokio::io::split(ws.stream);
    const COUNT: usize = 20_000;
    let writer = tokio::spawn(async move {
        for n in 0..COUNT {
            let text = format!("4{n:0>1000}");
            tokio::io::AsyncWriteExt::write_all(&mut write, &frame(0x81, text.as_bytes())).await.unwrap();
        }
        write
    });
    // When the writer is stuck, the server has stopped reading.
    let mut largest = 0;
    let mut unchanged = 0;
    while unchanged < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let queued = session.queued();
        unchanged = if queued == largest && queued > 0 { unchanged + 1 } else { 0 };
        largest = largest.max(queued);
        assert!(queued <= 1 << 20, "the outbox holds {queued}");
    }
    assert!(!writer.is_finished(), "20 MB went into a server that could not answer");
    // Others do not notice.
    server.still_serves().await;
    let mut bytes = Vec::new();
    while bytes.len() < COUNT * (1001 + 4) {
        assert!(tokio::io::AsyncReadExt::read_buf(&mut read, &mut bytes).await.unwrap() > 0);
    }
    for (n, echo) in bytes.chunks(1005).enumerate() {
        assert_eq!(&echo[4..], format!("4{n:0>1000}").as_bytes());
    }
    assert!(session.is_open());
    writer.await.unwrap();
}

/// H1: one member of a busy room does not read; the bound holds, and the others get everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_stalls_is_cut_off() {
    let mut server = start().await;
    let mut readers = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..5 {
        readers.push(server.ws().await);
        sessions.push(server.opened().await);
    }
    let stalled = server.ws().await;
    let slow = server.opened().await;
    sessions.push(slow.clone());
    let mut sent = 0;
    while slow.is_open() {
        let message = big(50_000);
        turn(|| {
            for session in &sessions {
                if session.send([&message]) == Err(SendError::Full) {
                    assert!(*session == slow, "a reader fell behind");
                    session.overflow();
                }
            }
        });
        sent += 1;
        assert!(slow.queued() <= (1 << 20) + 64);
        for reader in &mut readers {
            assert_eq!(reader.binary().await.len(), 50_000);
        }
    }
    assert!(sent > 20);
    assert_eq!(server.closed().await, Reason::SlowConsumer);
    assert!(server.engine.stats().closed.contains(&("slow consumer", 1)));
    drop(stalled);
    drop(readers);
    for _ in 0..5 {
        server.closed().await;
    }
    drop((sessions, slow));
    server.is_empty().await;
}

/// B10: a flood of pings from a peer that does not read is answered with the latest only.
#[tokio::test]
async fn a_ping_flood_is_not_hoarded() {
    let mut server = start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    while session.queued() == 0 {
        session.send([&big(100_000)]).unwrap();
    }
    let before = session.queued();
    let pings: Vec<u8> = (0..10_000u32).flat_map(|n| frame(0x89, &n.to_be_bytes())).collect();
    ws.raw(&pings).await;
    ws.send("4done").await;
    loop {
        if matches!(server.heard().await, Heard::Text(_)) {
            break;
        }
    }
    assert!(session.queued() < before + 500, "{before} {}", session.queued());
    let mut pongs = Vec::new();
    loop {
        match ws.frame().await.unwrap() {
            frame if frame.first == 0x8a => pongs.push(frame.payload),
            frame if frame.first == 0x81 => break,
            _ => {}
        }
    }
    assert!(pongs.len() <= 3, "{}", pongs.len());
    if !pongs.contains(&9_999u32.to_be_bytes().to_vec()) {
        assert_eq!(ws.frame().await.unwrap().payload, 9_999u32.to_be_bytes());
    }
}

#[tokio::test]
async fn a_paused_link_reads_nothing_more() {
    let mut server = Setup::new().react(|_, _| Flow::Pause).start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    ws.raw(&(0..5).flat_map(|n| frame(0x81, format!("4{n}").as_bytes())).collect::<Vec<_>>()).await;
    for n in 0..5 {
        assert!(matches!(server.heard().await, Heard::Text(text) if text == n.to_string()));
        assert!(server.try_heard().is_none());
        session.poke();
        assert!(matches!(server.heard().await, Heard::Woken));
    }
    // A link that still has no room says so again.
    *server.woken.lock().unwrap() = Flow::Pause;
    ws.send("4five").await;
    assert!(matches!(server.heard().await, Heard::Text(_)));
    ws.send("4six").await;
    session.poke();
    assert!(matches!(server.heard().await, Heard::Woken));
    assert!(server.try_heard().is_none());
    *server.woken.lock().unwrap() = Flow::Continue;
    session.poke();
    assert!(matches!(server.heard().await, Heard::Woken));
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "six"));
}

#[tokio::test]
async fn large_messages_come_and_go_in_pieces() {
    let server = start().await;
    let mut ws = server.ws().await;
    for length in [0, 1, 125, 126, 65_535, 65_536, 300_000, 1_000_000] {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let frame = frame(0x82, &bytes);
        let (read, mut write) = tokio::io::split(&mut ws.stream);
        drop(read);
        tokio::io::AsyncWriteExt::write_all(&mut write, &frame).await.unwrap();
        assert_eq!(ws.binary().await, bytes, "{length}");
    }
    // Byte by byte.
    for byte in frame(0x81, "4slowly €".as_bytes()) {
        ws.raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(ws.text().await, "4slowly €");
}

fn inflate(payload: &[u8], inflater: &mut flate2::Decompress) -> Vec<u8> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(1 << 16);
    inflater.decompress_vec(&input, &mut out, flate2::FlushDecompress::Sync).unwrap();
    out
}

/// Without context takeover a message is compressed once, whoever gets it, in a turn or not; with it, for each.
#[tokio::test]
async fn a_message_to_many_is_compressed_once() {
    const PEERS: u64 = 8;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    for takeover in [false, true] {
        let setup = Setup::new().config(|config| {
            config.deflate =
                Some(DeflateOptions { server_no_context_takeover: !takeover, ..DeflateOptions::default() });
        });
        let mut server = setup.start().await;
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let mut ws = Ws::connect(server.addr, WS, offer).await.unwrap();
            ws.frame().await.unwrap();
            peers.push((ws, server.opened().await));
        }
        for (round, in_turn) in [(1, true), (2, false), (3, true)] {
            let message = Message::text(&format!("{round}: a long text, ").repeat(500));
            let send = || peers.iter().for_each(|(_, session)| session.send_one(&message).unwrap());
            if in_turn {
                turn(send)
            } else {
                send()
            }
            for (ws, _) in &mut peers {
                let frame = ws.frame().await.unwrap();
                assert!(frame.first == 0xc1 && frame.payload.len() < 500);
            }
            let expected = if takeover { round * PEERS } else { round };
            assert_eq!(server.engine.stats().compressed, expected, "takeover: {takeover}");
        }
    }
}

#[tokio::test]
async fn permessage_deflate() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    for takeover in [false, true] {
        let setup = Setup::new().config(|config| {
            config.deflate = Some(DeflateOptions {
                server_no_context_takeover: !takeover,
                client_no_context_takeover: !takeover,
                ..DeflateOptions::default()
            });
        });
        let mut server = setup.start().await;
        let mut ws = Ws::connect(server.addr, WS, offer).await.unwrap();
        let agreed = ws.head.header("sec-websocket-extensions").unwrap().to_owned();
        assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
        assert_eq!(agreed.contains("server_no_context_takeover"), !takeover);
        let mut plain = server.ws().await;
        assert_eq!(ws.frame().await.unwrap().first, 0x81, "the open packet is short");
        let first = server.opened().await;
        let second = server.opened().await;
        let (ours, others) = if first.id() == "" { (second, first) } else { (first, second) };

        let long = "a long text, ".repeat(500);
        let mut inflater = flate2::Decompress::new(false);
        for _ in 0..3 {
            let message = Message::text(&long);
            turn(|| {
                ours.send([&message]).unwrap();
                others.send([&message]).unwrap();
            });
            let frame = ws.frame().await.unwrap();
            assert_eq!(frame.first, 0xc1);
            assert!(frame.payload.len() < 500);
            if !takeover {
                inflater.reset(false);
            }
            assert_eq!(inflate(&frame.payload, &mut inflater), message.packet());
            assert_eq!(plain.text().await.as_bytes(), message.packet());
        }
        // Below the threshold, and where compression was not wished for, frames are plain.
        ours.send([&Message::text("short"), &Message::text(&long).with_compress(false)]).unwrap();
        assert_eq!(ws.text().await, "4short");
        assert_eq!(ws.text().await.len(), long.len() + 1);
        // What the client compresses is understood.
        let mut deflater = flate2::Compress::new(flate2::Compression::default(), false);
        let mut compressed = Vec::with_capacity(1 << 16);
        deflater.compress_vec(b"4squeezed", &mut compressed, flate2::FlushCompress::Sync).unwrap();
        compressed.truncate(compressed.len() - 4);
        ws.raw(&frame(0xc1, &compressed)).await;
        assert_eq!(ws.text().await, "4squeezed");
    }
}

#[tokio::test]
async fn messages_that_waited_for_an_upgrade_are_compressed_too() {
    let mut server =
        Setup::new().config(|config| config.deflate = Some(DeflateOptions::default())).start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut ws = Ws::connect(server.addr, &format!("{WS}&sid={id}"), offer).await.unwrap();
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    let message = Message::text(&"x".repeat(5000));
    session.send([&message]).unwrap();
    ws.send("5").await;
    let frame = ws.frame().await.unwrap();
    assert_eq!(frame.first, 0xc1);
    assert_eq!(inflate(&frame.payload, &mut flate2::Decompress::new(false)), message.packet());
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let mut server =
        Setup::new().config(|config| config.deflate = Some(DeflateOptions::default())).start().await;
    let mut ws =
        Ws::connect(server.addr, WS, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await.unwrap();
    let mut deflater = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bomb = Vec::with_capacity(1 << 20);
    deflater.compress_vec(&vec![b'4'; 8_000_000], &mut bomb, flate2::FlushCompress::Sync).unwrap();
    bomb.truncate(bomb.len() - 4);
    ws.raw(&frame(0xc1, &bomb)).await;
    assert_eq!(ws.close_code().await, Some(1009));
    assert_eq!(server.closed().await, Reason::TransportError("Max payload size exceeded"));
    server.still_serves().await;
}

/// The answer of a poll that takes messages out of the outbox and never gets to the client ends the session: no
/// silent loss.
#[tokio::test]
async fn an_answer_that_is_lost_ends_the_session() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    session.send([&Message::text("precious")]).unwrap();
    let request = http::Request::get(format!("/socket.io/?EIO=4&transport=polling&sid={id}"))
        .body(sockeye_engine::Body::empty())
        .unwrap();
    let response = server.engine.handle(request, Default::default()).await;
    assert_eq!(&response.body().bytes()[..], b"4precious");
    drop(response);
    assert_eq!(server.closed().await, Reason::TransportError("poll connection closed prematurely"));
    server.is_empty().await;
}

/// A POST whose answers fill the outbox waits for the polls that empty it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_asks_for_more_than_the_outbox_holds() {
    let mut server = Setup::new()
        .react(|session, _| {
            session.send([&Message::text(&"y".repeat(10_000))]).unwrap();
            Flow::Continue
        })
        .start()
        .await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
    let body = vec!["4x"; 1000].join("\u{1e}");
    let post = tokio::spawn({
        let (addr, target) = (server.addr, target.clone());
        async move { Http::connect(addr).await.post(&target, body).await }
    });
    let mut got = 0;
    let mut http = server.http().await;
    while got < 1000 {
        assert!(session.queued() <= 1 << 20);
        got += http.get(&target).await.text().split('\u{1e}').count();
    }
    assert_eq!(got, 1000);
    assert_eq!(post.await.unwrap().text(), "ok");
}

#[tokio::test]
async fn every_session_leaves_nothing_behind() {
    let replies =
        Arc::new(|session: &sockeye_engine::Session, message: &Incoming<'_>| echo(session, message));
    let mut server = Setup::new().react(move |session, message| replies(session, message)).start().await;
    for _ in 0..50 {
        let mut ws = server.ws().await;
        ws.send("4a").await;
        ws.text().await;
        let id = server.open_polling().await;
        server.post(&format!("/socket.io/?EIO=4&transport=polling&sid={id}"), "4a\u{1e}1").await;
    }
    server.is_empty().await;
    while server.try_heard().is_some() {}
}

/// After `close` nothing more is delivered, even of what had been read before.
#[tokio::test]
async fn a_handle_closes_in_the_middle_of_a_read() {
    let mut server = Setup::new()
        .react(|session, _| {
            session.close(Reason::ForcedServerClose);
            Flow::Continue
        })
        .start()
        .await;
    let mut ws = server.ws().await;
    server.opened().await;
    ws.raw(&[frame(0x81, b"4one"), frame(0x81, b"4two")].concat()).await;
    assert_eq!(ws.close_code().await, Some(1000));
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "one"));
    assert!(matches!(server.heard().await, Heard::Closed(Reason::ForcedServerClose)));
}

/// A link that pauses because the outbox is half full is woken when that has left, without anybody's poke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_for_a_full_outbox_ends_by_itself() {
    let pause_when_full = |session: &sockeye_engine::Session, _: &Incoming<'_>| {
        session.send([&big(600_000)]).unwrap();
        if session.queued() * 2 >= 1 << 20 { Flow::Pause } else { Flow::Continue }
    };
    let mut server = Setup::new().react(pause_when_full).start().await;
    let mut ws = server.ws().await;
    for _ in 0..20 {
        ws.send("4more").await;
    }
    for _ in 0..20 {
        assert_eq!(ws.binary().await.len(), 600_000);
    }
    drop(ws);
    server.closed().await;

    let id = server.open_polling().await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
    let post = tokio::spawn({
        let (addr, target) = (server.addr, target.clone());
        async move { Http::connect(addr).await.post(&target, "4a\u{1e}4b\u{1e}4c").await }
    });
    let mut http = server.http().await;
    for _ in 0..3 {
        assert!(http.get(&target).await.body.len() > 600_000);
    }
    assert_eq!(post.await.unwrap().text(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_of_very_many_sessions_is_shared_by_the_workers_and_keeps_order() {
    // More than a turn keeps to itself, so that portions of it are flushed by other tasks while the next turn runs.
    const SESSIONS: usize = 2_200;
    const TURNS: usize = 3;
    let mut server = Setup::new().engine();
    let mut sessions = Vec::with_capacity(SESSIONS);
    let mut clients = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        clients.push(server.piped(WS, 4096).await);
        sessions.push(server.opened().await);
    }
    for number in 0..TURNS {
        let message = Message::text(&number.to_string());
        turn(|| {
            for session in &sessions {
                session.send([&message]).unwrap();
            }
        });
    }
    for client in &mut clients {
        for number in 0..TURNS {
            assert_eq!(client.text().await, format!("4{number}"));
        }
    }
}
