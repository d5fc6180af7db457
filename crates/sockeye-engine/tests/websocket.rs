//! Sessions that begin with a WebSocket.
#![allow(missing_docs)]

mod support;

use sockeye_engine::{Flow, Initial, Message, Protocol, Reason, Transport};
use support::*;

const V4: &str = "/socket.io/?EIO=4&transport=websocket";
const V3: &str = "/socket.io/?EIO=3&transport=websocket";

#[tokio::test]
async fn echo_and_leave() {
    let mut server = start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    assert_eq!((session.protocol(), session.transport()), (Protocol::V4, Transport::WebSocket));
    assert!(session.is_open());
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    ws.send_binary(&[1, 2, 3]).await;
    assert_eq!(ws.binary().await, [1, 2, 3]);
    ws.send_binary(&[]).await;
    assert!(ws.binary().await.is_empty());
    drop(ws);
    assert_eq!(server.closed().await, Reason::TransportClose);
    assert!(!session.is_open());
    assert!(session.send([&Message::text("late")]).is_err());
    server.is_empty().await;
}

#[tokio::test]
async fn the_open_packet_says_what_the_reference_says() {
    let server = start().await;
    let mut ws = server.ws_at(V4).await;
    let open = ws.text().await;
    let id = sid(&open[1..]);
    assert_eq!(id.len(), 20);
    assert_eq!(
        open,
        format!(
            r#"0{{"sid":"{id}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
        )
    );
}

#[tokio::test]
async fn what_is_sent_while_opening_follows_the_open_packet_and_the_initial_one() {
    let setup = Setup::new()
        .config(|config| config.initial_packet = Some(Initial::Text("first".into())))
        .on_open(|session| session.send([&Message::text("second")]).unwrap());
    let server = setup.start().await;
    let mut ws = server.ws().await;
    assert_eq!(ws.text().await, "4first");
    assert_eq!(ws.text().await, "4second");
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let server = start().await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let early = [frame(0x81, b"4one"), frame(0x81, b"4two")].concat();
    let mut ws = Ws::over(stream, V4, "", &early).await.unwrap();
    assert!(ws.text().await.starts_with("0{"));
    assert_eq!(ws.text().await, "4one");
    assert_eq!(ws.text().await, "4two");
    ws.send("4three").await;
    assert_eq!(ws.text().await, "4three");
}

#[tokio::test]
async fn a_bad_frame_that_comes_with_the_request_hurts_its_sender_only() {
    let mut server = start().await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let mut ws = Ws::over(stream, V4, "", &[0xff; 40]).await.unwrap();
    assert_eq!(ws.close_code().await, Some(1002));
    assert_eq!(server.closed().await, Reason::TransportError("invalid WebSocket frame"));
    server.still_serves().await;
}

#[tokio::test]
async fn violations_end_with_their_code() {
    let mut server = Setup::new().config(|config| config.max_payload = 1000).start().await;
    let long_text = |length: usize| frame(0x81, "4".repeat(length).as_bytes());
    for (what, bytes, code, reason) in [
        ("unmasked", b"\x81\x014".to_vec(), 1002, "invalid WebSocket frame"),
        ("reserved bit", frame(0xc1, b"4"), 1002, "invalid WebSocket frame"),
        ("reserved opcode", frame(0x83, b"4"), 1002, "invalid WebSocket frame"),
        ("orphan continuation", frame(0x80, b"4"), 1002, "invalid WebSocket frame"),
        ("fragmented ping", frame(0x09, b"4"), 1002, "invalid WebSocket frame"),
        ("close of one byte", frame(0x88, b"4"), 1002, "invalid WebSocket frame"),
        ("illegal close code", frame(0x88, &1005u16.to_be_bytes()), 1002, "invalid WebSocket frame"),
        ("bad text", frame(0x81, b"4\xff"), 1007, "invalid WebSocket frame"),
        ("too long", long_text(1001), 1009, "Max payload size exceeded"),
        (
            "announced too long",
            vec![0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4],
            1009,
            "Max payload size exceeded",
        ),
    ] {
        let mut ws = server.ws().await;
        ws.raw(&bytes).await;
        assert_eq!(ws.closed().await, Some(code), "{what}");
        assert_eq!(server.closed().await, Reason::TransportError(reason), "{what}");
    }
    let mut ws = server.ws().await;
    ws.raw(&long_text(1000)).await;
    assert_eq!(ws.text().await.len(), 1000, "a message of exactly the limit passes");
    drop(ws);
    server.still_serves().await;
}

#[tokio::test]
async fn packets_that_are_none_end_the_session() {
    let mut server = start().await;
    for (packet, reason) in [
        ("", Reason::ParseError),
        ("7", Reason::ParseError),
        ("x", Reason::ParseError),
        ("４x", Reason::ParseError),
        ("-1", Reason::ParseError),
        ("b*", Reason::ParseError),
        ("2", Reason::TransportError("invalid heartbeat direction")),
        ("2probe", Reason::TransportError("invalid heartbeat direction")),
        ("1", Reason::TransportClose),
    ] {
        let mut ws = server.ws().await;
        ws.send(packet).await;
        let code = ws.close_code().await;
        assert_eq!(server.closed().await, reason, "{packet}");
        assert_eq!(code, Some(reason.close_code()), "{packet}");
    }
    // These mean nothing and do nothing.
    let mut ws = server.ws().await;
    for packet in ["3", "6", "3", "0"] {
        ws.send(packet).await;
    }
    ws.send("4still here").await;
    assert_eq!(ws.text().await, "4still here");
}

#[tokio::test]
async fn close_frames_are_answered_with_their_code_and_the_stream_ends() {
    let mut server = start().await;
    for code in [1000u16, 1001, 3000, 4999] {
        let mut ws = server.ws().await;
        ws.raw(&frame(0x88, &code.to_be_bytes())).await;
        assert_eq!(ws.closed().await, Some(code));
        assert_eq!(server.closed().await, Reason::TransportClose);
    }
    let mut ws = server.ws().await;
    ws.raw(&[frame(0x88, b""), frame(0x81, b"4never")].concat()).await;
    assert_eq!(ws.closed().await, None);
    drop(ws);
    loop {
        match server.heard().await {
            Heard::Closed(reason) => break assert_eq!(reason, Reason::TransportClose),
            Heard::Text(text) => panic!("delivered after close: {text}"),
            _ => {}
        }
    }
    server.is_empty().await;
}

#[tokio::test]
async fn pings_are_answered() {
    let server = start().await;
    let mut ws = server.ws().await;
    ws.raw(&[frame(0x89, b"a"), frame(0x01, b"4one "), frame(0x89, b"b"), frame(0x80, b"two")].concat())
        .await;
    let mut texts = 0;
    // Only the latest ping needs an answer.
    loop {
        let frame = ws.frame().await.unwrap();
        match (frame.first, &frame.payload[..]) {
            (0x8a, b"a") => {}
            (0x81, b"4one two") => texts += 1,
            (0x8a, b"b") => break,
            _ => panic!("{frame:?}"),
        }
    }
    if texts == 0 {
        assert_eq!(ws.text().await, "4one two");
    }
}

#[tokio::test]
async fn the_application_closes() {
    for (reason, code) in [
        (Reason::ForcedServerClose, 1000),
        (Reason::ServerShuttingDown, 1001),
        (Reason::SlowConsumer, 1008),
        (Reason::Custom("token expired".into()), 1000),
    ] {
        let mut server = start().await;
        let mut ws = server.ws().await;
        let session = server.opened().await;
        session.send([&Message::text("last words")]).unwrap();
        session.close(reason.clone());
        assert!(!session.is_open());
        assert_eq!(ws.text().await, "4last words");
        assert_eq!(ws.close_code().await, Some(code));
        assert_eq!(server.closed().await, reason);
        ws.raw(&frame(0x88, &code.to_be_bytes())).await;
        assert_eq!(ws.frame().await, None, "the server ends the stream");
        drop(ws);
        server.is_empty().await;
    }
}

#[tokio::test]
async fn a_link_closes_and_hears_its_own_reason() {
    let mut server = Setup::new().react(|_, _| Flow::Close(Reason::ServerNamespaceDisconnect)).start().await;
    let mut ws = server.ws().await;
    ws.raw(&[frame(0x81, b"4one"), frame(0x81, b"4two")].concat()).await;
    assert_eq!(ws.close_code().await, Some(1000));
    server.opened().await;
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "one"));
    assert!(matches!(server.heard().await, Heard::Closed(Reason::ServerNamespaceDisconnect)));
}

#[tokio::test]
async fn a_panic_ends_its_session_only() {
    let mut server = Setup::new()
        .react(|session, message| {
            assert!(!matches!(message, sockeye_engine::Incoming::Text(text) if text == "boom"), "as ordered");
            echo(session, message)
        })
        .start()
        .await;
    let mut other = server.ws().await;
    let mut ws = server.ws().await;
    ws.send("4boom").await;
    assert_eq!(ws.close_code().await, Some(1011));
    assert_eq!(server.closed().await, Reason::ServerError);
    other.send("4fine").await;
    assert_eq!(other.text().await, "4fine");
}

#[tokio::test]
async fn revision_3() {
    let mut server = start().await;
    let mut ws = server.ws_at(V3).await;
    assert!(ws.text().await.starts_with("0{"));
    assert_eq!(server.opened().await.protocol(), Protocol::V3);
    ws.send("2").await;
    assert_eq!(ws.text().await, "3");
    ws.send_binary(&[4, 1, 2, 3]).await;
    assert_eq!(ws.binary().await, [4, 1, 2, 3]);
    assert!(matches!(server.heard().await, Heard::Binary(bytes) if bytes == [1, 2, 3]));
    ws.send("b4AQID").await;
    assert_eq!(ws.binary().await, [4, 1, 2, 3]);
    // The double UTF-8 of the oldest clients.
    ws.send("4\u{e2}\u{82}\u{ac}").await;
    assert_eq!(ws.text().await, "4€");
    ws.send("3").await;
    assert_eq!(ws.close_code().await, Some(1002));
    assert_eq!(server.closed().await, Reason::TransportError("invalid heartbeat direction"));
}

#[tokio::test]
async fn clients_that_cannot_take_binary_get_base64() {
    let server = start().await;
    for (eio, sent) in [("4", "bAQID"), ("3", "b4AQID")] {
        let mut ws = server.ws_at(&format!("/socket.io/?EIO={eio}&transport=websocket&b64=1")).await;
        ws.text().await;
        ws.send(sent).await;
        assert_eq!(ws.text().await, sent);
    }
}

#[tokio::test]
async fn requests_that_are_no_handshake() {
    let mut server = Setup::new().config(|config| config.allow_eio3 = false).start().await;
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (target, headers, status) in [
        (V4, format!("{upgrade}{version}"), 400),
        (V4, format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n"), 400),
        (V4, format!("{upgrade}{version}{key}{key}"), 400),
        (V4, format!("{upgrade}{key}"), 426),
        (V4, format!("{upgrade}{key}Sec-WebSocket-Version: 99\r\n"), 426),
        (V4, format!("Upgrade: websocket\r\n{version}{key}"), 400),
        (V4, format!("Upgrade: foo\r\nConnection: Upgrade\r\n{version}{key}"), 400),
        (V3, format!("{upgrade}{version}{key}"), 400),
        ("/socket.io/?EIO=4&transport=polling", format!("{upgrade}{version}{key}"), 400),
    ] {
        let mut http = server.http().await;
        http.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        let reply = http.reply().await;
        assert_eq!(reply.status, status, "{target} {headers}");
        assert_eq!(reply.header("sec-websocket-version"), (status == 426).then_some("13"));
        assert!(matches!(server.heard().await, Heard::Refused(_)));
    }
    server.still_serves().await;
}

#[tokio::test]
async fn subprotocols_are_echoed() {
    let server = start().await;
    let ws = Ws::connect(server.addr, V4, "Sec-WebSocket-Protocol: one, two\r\n").await.unwrap();
    assert_eq!(ws.head.header("sec-websocket-protocol"), Some("one"));
}

#[tokio::test]
async fn the_raw_door() {
    let mut server = Setup::new().engine();
    let engine = server.engine.clone();
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let request = |target: &str| {
        let mut request = http::Request::get(target).header("host", "localhost");
        for line in UPGRADE.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    };
    // The client's own request is only for its helper: the head has been read by whoever adopts.
    let parts = request(V4);
    let early = frame(0x81, b"4early");
    let adopted = tokio::spawn(async move {
        let mut stream = stream;
        let mut head = Vec::new();
        use tokio::io::AsyncReadExt;
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        engine.adopt(stream, parts, early.into(), Default::default()).await;
    });
    let mut ws = Ws::over(client, V4, "", &[]).await.unwrap();
    adopted.await.unwrap();
    assert!(ws.text().await.starts_with("0{"));
    assert_eq!(ws.text().await, "4early");
    ws.send("4late").await;
    assert_eq!(ws.text().await, "4late");
    drop(ws);
    assert_eq!(server.closed().await, Reason::TransportClose);

    // Refusals are written, too.
    let (mut client, stream) = tokio::io::duplex(64 * 1024);
    server
        .engine
        .adopt(stream, request("/socket.io/?EIO=4&transport=x"), Default::default(), Default::default())
        .await;
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"code":0,"message":"Transport unknown"}"#), "{answer}");
    server.is_empty().await;
}
