//! Everything that waits, in virtual time: heartbeats, deadlines, and who is given up.
//!
//! Streams are pipes in memory and requests are handed to the engine directly, so the clock can be stopped.
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use sockeye_engine::{Body, Config, Flow, Message, Peer, Reason};
use support::*;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

async fn v4(server: &Server) -> Ws<DuplexStream> {
    server.piped("/socket.io/?EIO=4&transport=websocket", 64 * 1024).await
}

async fn get(server: &Server, target: &str) -> (u16, String) {
    let request = http::Request::get(target).body(Body::empty()).unwrap();
    let response = server.engine.handle(request, Peer::default()).await;
    let status = response.status().as_u16();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn post(server: &Server, target: &str, body: &str) -> (u16, String) {
    let request = http::Request::post(target).body(Body::new(body.to_owned())).unwrap();
    let response = server.engine.handle(request, Peer::default()).await;
    (response.status().as_u16(), String::from_utf8(response.body().bytes().to_vec()).unwrap())
}

fn at(start: Instant) -> u64 {
    start.elapsed().as_millis() as u64
}

#[tokio::test(start_paused = true)]
async fn pings_go_out_and_pongs_keep_alive() {
    let server = Setup::new().engine();
    let start = Instant::now();
    let mut ws = v4(&server).await;
    for n in 1..=100 {
        assert_eq!(next_text(&mut ws).await, "2");
        assert!(at(start).abs_diff(n * 25_000) < 100 * n, "ping {n} at {}", at(start));
        ws.send("3").await;
    }
}

/// `Ws::text` gives up after ten seconds, which is nothing here.
async fn next_text(ws: &mut Ws<DuplexStream>) -> String {
    if ws.buffer.is_empty() {
        ws.buffer.push(tokio::io::AsyncReadExt::read_u8(&mut ws.stream).await.unwrap());
    }
    ws.text().await
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_gone_after_interval_and_timeout() {
    let mut server = Setup::new().engine();
    let start = Instant::now();
    let mut ws = v4(&server).await;
    assert_eq!(next_text(&mut ws).await, "2");
    sleep(Duration::from_secs(19)).await;
    assert!(!matches!(server.try_heard(), Some(Heard::Closed(_))));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.closed().await, Reason::PingTimeout);
    assert!(at(start) >= 45_000 && at(start) <= 46_100, "{}", at(start));
    assert_eq!(ws.close_code().await, Some(1000));
    // It does not answer our close frame either: five seconds, then the stream ends.
    let ended = Instant::now();
    assert_eq!(ws.frame().await, None);
    assert!(ended.elapsed() <= Duration::from_secs(5));
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn revision_3_waits_for_the_clients_pings() {
    let mut server = Setup::new().engine();
    let mut ws = server.piped("/socket.io/?EIO=3&transport=websocket", 64 * 1024).await;
    for _ in 0..5 {
        sleep(Duration::from_secs(44)).await;
        ws.send("2").await;
        assert_eq!(ws.text().await, "3");
    }
    let last = Instant::now();
    sleep(Duration::from_secs(46)).await;
    assert_eq!(server.closed().await, Reason::PingTimeout);
    assert!(last.elapsed() < Duration::from_secs(47));
}

#[tokio::test(start_paused = true)]
async fn polling_sessions_are_pinged_too() {
    let mut server = Setup::new().engine();
    let (_, open) = get(&server, POLL).await;
    let target = format!("{POLL}&sid={}", sid(&open[1..]));
    let start = Instant::now();
    assert_eq!(get(&server, &target).await, (200, "2".to_owned()));
    assert!(at(start).abs_diff(25_000) < 100);
    assert_eq!(post(&server, &target, "3").await.0, 200);
    assert_eq!(get(&server, &target).await.1, "2");
    assert!(at(start).abs_diff(50_000) < 200);
    // Never again a word.
    sleep(Duration::from_secs(21)).await;
    assert_eq!(server.closed().await, Reason::PingTimeout);
    assert_eq!(get(&server, &target).await.0, 400);
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_session_is_still_watched() {
    for eio in [3, 4] {
        let mut server = Setup::new().engine();
        let poll = format!("/socket.io/?EIO={eio}&transport=polling");
        let (_, open) = get(&server, &poll).await;
        let id = sid(&open[open.find('{').unwrap()..]);
        let target = format!("/socket.io/?EIO={eio}&transport=websocket&sid={id}");
        let mut ws = server.piped(&target, 64 * 1024).await;
        ws.send("2probe").await;
        assert_eq!(ws.text().await, "3probe");
        ws.send("5").await;
        sleep(Duration::from_secs(47)).await;
        assert_eq!(server.closed().await, Reason::PingTimeout, "revision {eio}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_has_ten_seconds() {
    let server = Setup::new().engine();
    let (_, open) = get(&server, POLL).await;
    let id = sid(&open[1..]);
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={id}");
    for said in ["", "2probe"] {
        let mut ws = server.piped(&target, 64 * 1024).await;
        if !said.is_empty() {
            ws.send(said).await;
            assert_eq!(ws.text().await, "3probe");
        }
        sleep(Duration::from_millis(9_900)).await;
        assert!(ws.buffer.is_empty());
        assert_eq!(ws.closed().await, Some(1000));
    }
    assert_eq!(server.engine.stats().upgrades_failed, 2);
    let target = format!("{POLL}&sid={id}");
    assert_eq!(post(&server, &target, "4still polling").await.0, 200);
    assert_eq!(get(&server, &target).await.1, "4still polling");
}

#[tokio::test(start_paused = true)]
async fn an_orderly_close_waits_half_a_minute_for_the_last_poll() {
    let mut server = Setup::new().engine();
    let (_, open) = get(&server, POLL).await;
    let target = format!("{POLL}&sid={}", sid(&open[1..]));
    let session = server.opened().await;
    session.close(Reason::ForcedServerClose);
    sleep(Duration::from_secs(29)).await;
    assert!(server.try_heard().is_none());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.closed().await, Reason::ForcedServerClose);
    assert_eq!(get(&server, &target).await.0, 400);
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_begun_has_to_be_finished() {
    let mut server = Setup::new().engine();
    let mut ws = v4(&server).await;
    let whole = frame(0x81, &[b'4'; 100]);
    ws.raw(&whole[..50]).await;
    sleep(Duration::from_secs(24)).await;
    ws.raw(&whole[50..60]).await;
    sleep(Duration::from_secs(5)).await;
    assert!(!matches!(server.try_heard(), Some(Heard::Closed(_))));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.closed().await, Reason::TransportError("message took too long"));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_come_in_time() {
    use tokio::sync::mpsc;
    struct Drip(mpsc::UnboundedReceiver<bytes::Bytes>);
    impl http_body::Body for Drip {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
        }
    }
    // One byte a second falls under the least rate; a kilobyte a second does not, but has half a minute.
    for (piece, gone_after) in [(1, 5..8), (2048, 30..32)] {
        let mut server = Setup::new().engine();
        let (_, open) = get(&server, POLL).await;
        let target = format!("{POLL}&sid={}", sid(&open[1..]));
        server.opened().await;
        let (sender, body) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while sender.send(vec![b'4'; piece].into()).is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let request = http::Request::post(target).body(Drip(body)).unwrap();
        let response = server.engine.handle(request, Peer::default()).await;
        assert_eq!(response.status(), 408);
        assert!(gone_after.contains(&(at(start) / 1000)), "{piece}: {}", at(start));
        assert_eq!(
            server.closed().await,
            Reason::TransportError("data request connection closed prematurely")
        );
        server.is_empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let mut server = Setup::new().config(|config| config.ping_timeout = Duration::from_secs(300)).engine();
    let ws = server.piped("/socket.io/?EIO=4&transport=websocket", 1024).await;
    let session = server.opened().await;
    session.send([&Message::text(&"x".repeat(5000))]).unwrap();
    sleep(Duration::from_secs(29)).await;
    assert!(session.is_open());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.closed().await, Reason::SlowConsumer);
    sleep(Duration::from_secs(6)).await;
    drop(ws);
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_little_is_not() {
    let mut server = Setup::new().config(|config| config.ping_timeout = Duration::from_secs(300)).engine();
    let mut ws = server.piped("/socket.io/?EIO=4&transport=websocket", 512).await;
    let session = server.opened().await;
    session.send([&Message::text(&"x".repeat(5000))]).unwrap();
    let mut taken = 0;
    while taken < 5005 {
        sleep(Duration::from_secs(20)).await;
        let mut some = [0; 512];
        taken += tokio::io::AsyncReadExt::read(&mut ws.stream, &mut some).await.unwrap();
    }
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_paused_link_does_not_make_its_peer_silent() {
    let mut server = Setup::new().react(|_, _| Flow::Pause).engine();
    let mut ws = v4(&server).await;
    let session = server.opened().await;
    ws.send("4work").await;
    assert_eq!(next_text(&mut ws).await, "2");
    ws.send("3").await;
    // The pong lies unread behind the pause, far longer than any timeout.
    sleep(Duration::from_secs(300)).await;
    assert!(session.is_open());
    session.poke();
    sleep(Duration::from_secs(10)).await;
    assert!(session.is_open());
    ws.send("4more").await;
    loop {
        if matches!(server.heard().await, Heard::Text(text) if text == "more") {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_links_own_timer() {
    let mut server = Setup::new().timer(Duration::from_secs(7)).engine();
    let start = Instant::now();
    let _ws = v4(&server).await;
    server.opened().await;
    sleep(Duration::from_secs(8)).await;
    assert!(matches!(server.try_heard(), Some(Heard::Timer)));
    assert!(at(start) < 8_100);
}

#[tokio::test(start_paused = true)]
async fn draining_says_goodbye_and_does_not_hang() {
    let mut server = Setup::new().engine();
    let mut polite = v4(&server).await;
    let rude = server.piped("/socket.io/?EIO=4&transport=websocket", 1024).await;
    let (_, open) = get(&server, POLL).await;
    let target = format!("{POLL}&sid={}", sid(&open[1..]));
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(server.opened().await);
    }
    sessions[0].send([&Message::text("last words")]).unwrap();
    sessions[1].send([&Message::text(&"x".repeat(100_000))]).unwrap();
    let engine = server.engine.clone();
    let start = Instant::now();
    let drained = tokio::spawn(async move { engine.drain(Duration::from_secs(10)).await });
    assert_eq!(polite.text().await, "4last words");
    assert_eq!(polite.close_code().await, Some(1001));
    polite.raw(&frame(0x88, &1001u16.to_be_bytes())).await;
    assert_eq!(get(&server, &target).await.1, "6\u{1e}1");
    let (status, _) = get(&server, POLL).await;
    assert_eq!(status, 503, "nobody new");
    drained.await.unwrap();
    assert!(at(start) < 16_100, "{}", at(start));
    let reasons = [server.closed().await, server.closed().await, server.closed().await];
    assert!(reasons.iter().all(|reason| *reason == Reason::ServerShuttingDown), "{reasons:?}");
    drop(rude);
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_engine_drains_at_once() {
    let server = Setup::new().config(|_: &mut Config| {}).engine();
    server.engine.drain(Duration::from_secs(10)).await;
    assert!(server.engine.is_draining());
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_without_a_pause_is_not_late() {
    let mut server = Setup::new().config(|config| config.ping_timeout = Duration::from_secs(300)).engine();
    let mut ws = v4(&server).await;
    let session = server.opened().await;
    let message = frame(0x81, b"4hello");
    let (begin, end) = message.split_at(3);
    ws.raw(begin).await;
    // Whenever the server looks, it is in the middle of a message, though never of the same one for long.
    for _ in 0..12 {
        sleep(Duration::from_secs(10)).await;
        ws.raw(&[end, begin].concat()).await;
        assert!(matches!(server.heard().await, Heard::Text(text) if text == "hello"));
    }
    assert!(session.is_open());
    ws.raw(end).await;
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "hello"));
    let ping = frame(0x89, b"ping");
    let (begin, end) = ping.split_at(3);
    ws.raw(begin).await;
    for _ in 0..12 {
        sleep(Duration::from_secs(10)).await;
        ws.raw(&[end, begin].concat()).await;
    }
    ws.raw(end).await;
    assert!(session.is_open());
    // In the middle of a message they complete nothing.
    ws.raw(&frame(0x01, b"4half")).await;
    sleep(Duration::from_secs(20)).await;
    ws.raw(&frame(0x8a, b"")).await;
    sleep(Duration::from_secs(9)).await;
    assert!(session.is_open());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.closed().await, Reason::TransportError("message took too long"));
}

#[tokio::test(start_paused = true)]
async fn our_reason_counts_even_if_the_peer_hangs_up_first() {
    let mut server = Setup::new().engine();
    let ws = server.piped("/socket.io/?EIO=4&transport=websocket", 512).await;
    let session = server.opened().await;
    session.send([&Message::text(&"x".repeat(5000))]).unwrap();
    session.close(Reason::Custom("banned".into()));
    sleep(Duration::from_secs(1)).await;
    drop(ws);
    assert_eq!(server.closed().await, Reason::Custom("banned".into()));
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_is_told_as_soon_as_there_is_some() {
    let mut server = Setup::new().config(|config| config.max_queue = 10_000).engine();
    let mut ws = server.piped("/socket.io/?EIO=4&transport=websocket", 512).await;
    let session = server.opened().await;
    for _ in 0..9 {
        session.send([&Message::text(&"x".repeat(1000))]).unwrap();
    }
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move { session.ready(2000).await })
    };
    sleep(Duration::from_millis(1)).await;
    assert!(!waiting.is_finished());
    for _ in 0..4 {
        assert_eq!(next_text(&mut ws).await.len(), 1001);
    }
    waiting.await.unwrap().unwrap();
    assert!(session.queued() > 1000, "told before everything had left: {}", session.queued());
}

#[tokio::test(start_paused = true)]
async fn nobody_slips_in_while_the_server_goes_down() {
    let asked = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let answer = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let (a, b) = (asked.clone(), answer.clone());
    let server = Setup::new()
        .config(move |config| {
            config.allow_request = Some(std::sync::Arc::new(move |_| {
                let (asked, answer) = (a.clone(), b.clone());
                Box::pin(async move {
                    asked.add_permits(1);
                    answer.acquire().await.unwrap().forget();
                    Ok(())
                })
            }));
        })
        .engine();
    let engine = server.engine.clone();
    let late = tokio::spawn(async move {
        let request = http::Request::get(POLL).body(Body::empty()).unwrap();
        engine.handle(request, Peer::default()).await.status().as_u16()
    });
    asked.acquire().await.unwrap().forget();
    server.engine.drain(Duration::ZERO).await;
    answer.add_permits(1);
    assert_eq!(late.await.unwrap(), 503);
    server.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_probes_and_does_not_read_costs_little() {
    let mut server = Setup::new().engine();
    let (_, open) = get(&server, POLL).await;
    let session = server.opened().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", sid(&open[1..]));
    let mut greedy = server.piped(&target, 64).await;
    let probe = frame(0x81, b"2probe");
    for _ in 0..1000 {
        greedy.raw(&probe).await;
    }
    let mut answers = 0;
    while let Ok(text) = tokio::time::timeout(Duration::from_secs(1), next_text(&mut greedy)).await {
        assert_eq!(text, "3probe");
        answers += 1;
    }
    assert!((1..100).contains(&answers), "{answers} answers were kept");
    greedy.send("5").await;
    assert!(matches!(server.heard().await, Heard::Upgraded(_)));
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_a_time_like_any_other() {
    let mut server = Setup::new()
        .config(|config| {
            config.ping_interval = Duration::MAX;
            config.ping_timeout = Duration::MAX;
            config.upgrade_timeout = Duration::MAX;
            config.upload_timeout = Duration::MAX;
            config.stall_timeout = Duration::MAX;
        })
        .engine();
    let mut ws = server.piped("/socket.io/?EIO=4&transport=websocket", 512).await;
    let session = server.opened().await;
    session.send([&Message::text(&"x".repeat(5000))]).unwrap();
    ws.raw(&frame(0x81, b"4half")[..4]).await;
    let (status, _) = post(&server, "/socket.io/?EIO=4&transport=polling&sid=nobody", "4").await;
    assert_eq!(status, 400);
    sleep(Duration::from_secs(30 * 24 * 3600)).await;
    assert!(session.is_open());
    drop(ws);
    server.closed().await;
    server.engine.drain(Duration::MAX).await;
}
