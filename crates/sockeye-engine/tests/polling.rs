//! Sessions on long-polling: every answer of the reference's table, and what becomes of the session.
#![allow(missing_docs)]

mod support;

use sockeye_engine::{Flow, Incoming, Initial, Message, Protocol, Reason};
use support::*;

fn target(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

#[tokio::test]
async fn handshake_poll_and_post() {
    let mut server = start().await;
    let reply = server.get("/socket.io/?EIO=4&transport=polling&t=abc").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    let id = sid(&reply.text()[1..]);
    assert_eq!(
        reply.text(),
        format!(
            r#"0{{"sid":"{id}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
        )
    );
    let target = target(&id);
    let session = server.opened().await;
    session.send([&Message::text("hello"), &Message::binary(vec![1, 2, 3].into())]).unwrap();
    session.send([&Message::text("€")]).unwrap();
    let reply = server.get(&target).await;
    assert_eq!(reply.text(), "4hello\u{1e}bAQID\u{1e}4€");
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(session.queued(), 0);

    let reply = server.post(&target, "4one\u{1e}bAQID\u{1e}4two").await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("content-length"), Some("2"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "one"));
    assert!(matches!(server.heard().await, Heard::Binary(bytes) if bytes == [1, 2, 3]));
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "two"));
    assert_eq!(server.get(&target).await.text(), "4one\u{1e}bAQID\u{1e}4two");

    // A poll that waits is answered when there is something.
    let mut waiting = server.http().await;
    waiting.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    // Waiting is visible only in that it becomes writable.
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    session.send([&Message::text("now")]).unwrap();
    assert_eq!(waiting.reply().await.text(), "4now");
}

#[tokio::test]
async fn an_answer_holds_what_every_client_takes() {
    let mut server = start().await;
    let id = sid(&server.get("/socket.io/?EIO=4&transport=polling").await.text()[1..]);
    let session = server.opened().await;
    let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    session.send(&all.iter().map(|text| Message::text(text)).collect::<Vec<_>>()).unwrap();
    let mut heard = Vec::new();
    for packets in [16, 16, 8] {
        let reply = server.get(&target(&id)).await;
        let texts: Vec<String> = reply.text().split('\u{1e}').map(|packet| packet[1..].to_owned()).collect();
        assert_eq!(texts.len(), packets);
        heard.extend(texts);
    }
    assert_eq!(heard, all);
}

#[tokio::test]
async fn initial_packet() {
    let setup = Setup::new().config(|config| config.initial_packet = Some(Initial::Binary(vec![1].into())));
    let server = setup.start().await;
    let reply = server.get("/socket.io/?EIO=4&transport=polling").await;
    assert!(reply.text().ends_with("}\u{1e}bAQ=="), "{}", reply.text());
}

#[tokio::test]
async fn old_internet_explorers_are_told_that_this_is_no_page() {
    let server = start().await;
    for (agent, protection) in [("x;MSIE 9", Some("0")), ("Trident/7", Some("0")), ("Firefox", None)] {
        let mut http = server.http().await;
        http.send(&format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n"
        ))
        .await;
        assert_eq!(http.reply().await.header("x-xss-protection"), protection, "{agent}");
    }
}

#[tokio::test]
async fn bodies_that_do_not_decode() {
    for (body, heard) in
        [("", 0), ("7", 0), ("4a\u{1e}x\u{1e}4b", 1), ("4a\u{1e}", 1), ("4a\u{1e}b!\u{1e}4b", 1)]
    {
        let mut server = start().await;
        let id = server.open_polling().await;
        server.opened().await;
        let reply = server.post(&target(&id), body).await;
        // As the reference answers. No client looks at it.
        assert_eq!((reply.status, reply.text()), (200, "ok"), "{body:?}");
        for _ in 0..heard {
            assert!(matches!(server.heard().await, Heard::Text(_)), "{body:?}");
        }
        assert!(matches!(server.heard().await, Heard::Closed(Reason::ParseError)), "{body:?}");
        assert_eq!(server.get(&target(&id)).await.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
        server.is_empty().await;
    }
}

#[tokio::test]
async fn bytes_that_are_not_text() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let reply = server.post(&target(&id), b"4\xff").await;
    assert_eq!(reply.status, 200);
    assert_eq!(server.closed().await, Reason::ParseError);
}

#[tokio::test]
async fn a_binary_body_in_revision_4() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let mut http = server.http().await;
    http.send(&format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\n4a",
        target(&id)
    ))
    .await;
    let reply = http.reply().await;
    assert_eq!((reply.status, reply.text()), (400, ""));
    assert!(http.ends().await);
    assert_eq!(server.closed().await, Reason::TransportError("invalid content"));
    server.is_empty().await;
}

#[tokio::test]
async fn a_body_of_the_limit_passes_and_a_longer_one_ends_the_session() {
    let mut server = Setup::new().config(|config| config.max_payload = 100).start().await;
    let id = server.open_polling().await;
    server.opened().await;
    assert_eq!(server.post(&target(&id), "4".repeat(100)).await.status, 200);
    assert!(matches!(server.heard().await, Heard::Text(text) if text.len() == 99));
    let reply = server.post(&target(&id), "4".repeat(101)).await;
    assert_eq!((reply.status, reply.text()), (413, ""));
    // Unlike the reference, whose client gives the session up by itself.
    assert!(matches!(
        server.heard().await,
        Heard::Closed(Reason::TransportError("Max payload size exceeded"))
    ));

    // The same without a length, as soon as the limit is passed.
    let id = server.open_polling().await;
    let mut http = server.http().await;
    http.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", target(&id)))
        .await;
    http.send("32\r\n44444444444444444444444444444444444444444444444444\r\n").await;
    http.send("33\r\n444444444444444444444444444444444444444444444444444\r\n").await;
    assert_eq!(http.reply().await.status, 413);
    assert_eq!(server.closed().await, Reason::TransportError("Max payload size exceeded"));
    assert!(server.try_heard().is_none(), "nothing of it is used");
    server.is_empty().await;
}

#[tokio::test]
async fn a_compressed_body_is_not_taken() {
    let server = start().await;
    let id = server.open_polling().await;
    let mut http = server.http().await;
    http.send(&format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n4a",
        target(&id)
    ))
    .await;
    assert_eq!(http.reply().await.status, 415);
    assert_eq!(server.post(&target(&id), "4a").await.status, 200);
}

#[tokio::test]
async fn two_polls_at_once() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut first = server.http().await;
    first.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(&id))).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    let second = server.get(&target(&id)).await;
    assert_eq!((second.status, second.text()), (400, ""));
    let first = first.reply().await;
    assert_eq!((first.status, first.text()), (200, "1"));
    assert_eq!(server.closed().await, Reason::TransportError("overlap from client"));
    server.is_empty().await;
}

#[tokio::test]
async fn two_posts_at_once() {
    let mut server = start().await;
    let id = server.open_polling().await;
    server.opened().await;
    let mut first = server.http().await;
    first.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n4one", target(&id))).await;
    // The second may come only when the first has been seen, and nothing shows that but its effect.
    let second = loop {
        let second = server.post(&target(&id), "4two").await;
        if second.status != 200 {
            break second;
        }
    };
    assert_eq!((second.status, second.text()), (400, ""));
    assert_eq!(server.closed().await, Reason::TransportError("data request overlap from client"));
    // The reference cuts the first's connection; a refusal says more and ends as surely.
    let first = first.try_reply().await;
    assert!(first.is_none_or(|reply| reply.status == 400));
    server.is_empty().await;
}

#[tokio::test]
async fn requests_that_are_given_up() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut http = server.http().await;
    http.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(&id))).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    drop(http);
    assert_eq!(server.closed().await, Reason::TransportError("poll connection closed prematurely"));

    let id = server.open_polling().await;
    server.opened().await;
    let mut http = server.http().await;
    http.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n4one", target(&id))).await;
    drop(http);
    assert_eq!(server.closed().await, Reason::TransportError("data request connection closed prematurely"));
    server.is_empty().await;
}

#[tokio::test]
async fn other_methods_do_not_touch_the_session() {
    let server = start().await;
    let id = server.open_polling().await;
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let mut http = server.http().await;
        http.send(&format!("{method} {} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", target(&id)))
            .await;
        let reply = http.reply().await;
        assert_eq!(reply.status, 400, "{method}");
        assert_eq!(reply.text(), r#"{"code":2,"message":"Bad handshake method"}"#);
    }
    assert_eq!(server.post(&target(&id), "4still").await.status, 200);
    assert_eq!(server.get(&target(&id)).await.text(), "4still");
}

#[tokio::test]
async fn the_client_closes() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut waiting = server.http().await;
    waiting.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(&id))).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.post(&target(&id), "1").await.text(), "ok");
    assert_eq!(waiting.reply().await.text(), "6");
    assert_eq!(server.closed().await, Reason::TransportClose);
    server.is_empty().await;
}

#[tokio::test]
async fn the_server_closes_with_a_poll_waiting() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut waiting = server.http().await;
    waiting.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(&id))).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    session.close(Reason::ForcedServerClose);
    assert_eq!(waiting.reply().await.text(), "1");
    assert_eq!(server.closed().await, Reason::ForcedServerClose);
    server.is_empty().await;
}

#[tokio::test]
async fn the_server_closes_without_a_poll() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    session.send([&Message::text("last words")]).unwrap();
    session.close(Reason::ForcedServerClose);
    // What is queued goes first, then the end.
    assert_eq!(server.get(&target(&id)).await.text(), "4last words");
    assert_eq!(server.get(&target(&id)).await.text(), "6\u{1e}1");
    assert_eq!(server.closed().await, Reason::ForcedServerClose);
    assert_eq!(server.get(&target(&id)).await.status, 400);
    server.is_empty().await;
}

#[tokio::test]
async fn revision_3_in_its_three_forms() {
    let mut server = start().await;
    for (query, text, binary) in [
        ("", "5:4€uro", None),
        ("&b64=1", "5:4€uro", Some("6:b4AQID")),
        ("&j=3", "5:4€uro", Some("6:b4AQID")),
    ] {
        let reply = server.get(&format!("/socket.io/?EIO=3&transport=polling{query}")).await;
        let body = reply.text().to_owned();
        let open = if query == "&j=3" {
            assert!(body.starts_with("___eio[3](\"") && body.ends_with(");"), "{body}");
            let json = &body["___eio[3](".len()..body.len() - 2];
            serde_json::from_str::<String>(json).unwrap()
        } else {
            body
        };
        let (length, open) = open.split_once(":0").unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), open.len() + 1);
        let target = format!("/socket.io/?EIO=3&transport=polling{query}&sid={}", sid(open));
        let session = server.opened().await;
        assert_eq!(session.protocol(), Protocol::V3);

        session.send([&Message::text("€uro")]).unwrap();
        let reply = server.get(&target).await;
        assert!(reply.text().contains(text), "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=UTF-8"));

        session.send([&Message::binary(vec![1, 2, 3].into())]).unwrap();
        let reply = server.get(&target).await;
        match binary {
            Some(binary) => assert!(reply.text().contains(binary), "{reply:?}"),
            None => {
                assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
                assert_eq!(reply.body, [1, 4, 0xff, 4, 1, 2, 3]);
            }
        }
        assert_eq!(server.post(&target, if query == "&j=3" { "d=1%3A2" } else { "1:2" }).await.text(), "ok");
        let reply = server.get(&target).await;
        assert!(reply.text().contains("1:3"), "{reply:?}");
        server.post(&target, if query == "&j=3" { "d=1:1" } else { "1:1" }).await;
        assert_eq!(server.closed().await, Reason::TransportClose);
    }
}

#[tokio::test]
async fn a_binary_body_in_revision_3() {
    let mut server = start().await;
    let reply = server.get("/socket.io/?EIO=3&transport=polling").await;
    let id = sid(reply.text().split_once(":0").unwrap().1);
    server.opened().await;
    let body = b"\x00\x04\xff4\xe2\x82\xac\x01\x04\xff\x04\xff\xfe\xfd";
    let mut http = server.http().await;
    http.send(&format!(
        "POST /socket.io/?EIO=3&transport=polling&sid={id} HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ))
    .await;
    tokio::io::AsyncWriteExt::write_all(&mut http.stream, body).await.unwrap();
    assert_eq!(http.reply().await.text(), "ok");
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "€"));
    assert!(matches!(server.heard().await, Heard::Binary(bytes) if bytes == [0xff, 0xfe, 0xfd]));
}

#[tokio::test]
async fn jsonp_forms() {
    let mut server = start().await;
    let reply = server.get("/socket.io/?EIO=4&transport=polling&j=x1)y2").await;
    assert!(reply.text().starts_with("___eio[12](\"0{"), "{reply:?}");
    let open: String =
        serde_json::from_str(&reply.text()["___eio[12](".len()..reply.text().len() - 2]).unwrap();
    let target = format!("{}&j=12", target(&sid(&open[1..])));
    server.opened().await;
    assert_eq!(server.post(&target, "d=4a%5C%5Cnb%5Cnc").await.text(), "ok");
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "a\\nb\nc"));
    // Without the field nothing happens.
    assert_eq!(server.post(&target, "e=4a").await.text(), "ok");
    assert_eq!(server.get(&target).await.text(), r#"___eio[12]("4a\\nb\nc");"#);
}

#[tokio::test]
async fn jsonp_is_chosen_by_the_handshake_alone() {
    let mut server = start().await;
    // A session that has it keeps it, and its number.
    let reply = server.get("/socket.io/?EIO=4&transport=polling&j=7").await;
    let open: String =
        serde_json::from_str(&reply.text()["___eio[7](".len()..reply.text().len() - 2]).unwrap();
    let plain = target(&sid(&open[1..]));
    server.opened().await;
    assert_eq!(server.post(&plain, "d=4a").await.text(), "ok");
    assert_eq!(server.get(&format!("{plain}&j=8")).await.text(), r#"___eio[7]("4a");"#);
    assert!(matches!(server.heard().await, Heard::Text(text) if text == "a"));
    // One that has not cannot be made to talk in scripts, which pages of any site can load.
    let id = server.open_polling().await;
    server.opened().await;
    assert_eq!(server.post(&format!("{}&j=0", target(&id)), "4a").await.text(), "ok");
    assert_eq!(server.get(&format!("{}&j=0", target(&id))).await.text(), "4a");
}

#[tokio::test]
async fn pages_of_other_sites_cannot_load_scripts_of_ours() {
    let server = start().await;
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        for (j, status) in [("&j=0", status), ("", 200)] {
            let mut http = server.http().await;
            http.send(&format!(
                "GET /socket.io/?EIO=4&transport=polling{j} HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: {site}\r\n\r\n"
            ))
            .await;
            assert_eq!(http.reply().await.status, status, "{site} {j}");
        }
    }
}

#[tokio::test]
async fn a_paused_link_holds_the_post_back() {
    let mut server = Setup::new().react(|_, _| Flow::Pause).start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let post = tokio::spawn({
        let (addr, target) = (server.addr, target(&id));
        async move { Http::connect(addr).await.post(&target, "4one\u{1e}4two\u{1e}4three").await }
    });
    for expected in ["one", "two", "three"] {
        assert!(matches!(server.heard().await, Heard::Text(text) if text == expected));
        assert!(!post.is_finished(), "answered before all was taken");
        assert!(server.try_heard().is_none(), "delivered while paused");
        session.poke();
        assert!(matches!(server.heard().await, Heard::Woken));
    }
    assert_eq!(post.await.unwrap().text(), "ok");
}

#[tokio::test]
async fn a_body_of_very_many_packets() {
    let quiet = |session: &_, message: &Incoming<'_>| match message {
        Incoming::Text(text) if text.is_empty() => Flow::Continue,
        _ => echo(session, message),
    };
    let mut server = Setup::new().react(quiet).start().await;
    let id = server.open_polling().await;
    server.opened().await;
    let body = vec!["4"; 500_000].join("\u{1e}");
    assert!(body.len() < 1_000_000);
    assert_eq!(server.post(&target(&id), body).await.text(), "ok");
    for _ in 0..500_000 {
        assert!(matches!(server.heard().await, Heard::Text(text) if text.is_empty()));
    }
    server.still_serves().await;
}

#[tokio::test]
async fn a_text_that_polling_cannot_carry() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    session.send([&Message::text("a\u{1e}b")]).unwrap();
    assert_eq!(server.get(&target(&id)).await.text(), "1");
    assert_eq!(server.closed().await, Reason::ServerError);
    server.is_empty().await;
}

#[tokio::test]
async fn one_answer_holds_only_so_much() {
    let mut server = Setup::new().config(|config| config.max_poll = 1000).start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    for length in [600, 600, 300, 5000, 1] {
        session.send([&Message::text(&"x".repeat(length))]).unwrap();
    }
    let mut sizes = Vec::new();
    while session.queued() > 0 {
        sizes.push(server.get(&target(&id)).await.body.len());
    }
    assert_eq!(sizes, [601, 601 + 1 + 301, 5001, 2]);
}

/// A request that finds its session just as that ends is answered all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_race_with_the_end() {
    let mut server = start().await;
    for _ in 0..200 {
        let id = server.open_polling().await;
        // Refusals of the round before may be heard first.
        let session = loop {
            if let Heard::Opened(session, _) = server.heard().await {
                break session;
            }
        };
        let mut http = server.http().await;
        let mut post = server.http().await;
        http.send(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(&id))).await;
        session.abort(Reason::ForcedClose);
        post.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1", target(&id))).await;
        http.reply().await;
        post.reply().await;
        server.closed().await;
    }
    server.is_empty().await;
}
