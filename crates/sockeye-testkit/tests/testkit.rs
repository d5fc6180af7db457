//! The kit itself: what it tells when a test is wrong, and the parts that others do not use.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sockeye::{Args, ConnectionStateRecovery, Data, Reason, Server, ServerBuilder, Socket};
use sockeye_testkit::{Ended, TestServer, advance, run};

fn serve(builder: ServerBuilder) -> TestServer {
    TestServer::new(builder.build().unwrap())
}

fn echo() -> ServerBuilder {
    Server::builder().on("echo", async |socket: Socket, Data(text): Data<String>| {
        socket.emit("echo", &text).unwrap();
    })
}

/// What a test that must fail says.
fn failure<F: Future<Output = ()>>(test: impl FnOnce() -> F) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(test()))).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_wrong_event_is_shown() {
    let said = failure(async || {
        let mut client = serve(echo()).connect().await;
        client.emit("echo", "something");
        client.expect("other").await;
    });
    assert!(said.starts_with(r#"expected `other` but received echo ["echo","something"]"#), "{said}");
    // And where: the line of the test, not one inside the kit.
    assert!(said.contains("testkit.rs"), "{said}");
}

#[test]
fn a_missing_event_is_noticed() {
    let said = failure(async || {
        serve(echo()).connect().await.expect("echo").await;
    });
    assert!(said.starts_with("expected `echo` but nothing came within 5s"), "{said}");
}

#[test]
fn an_unexpected_event_is_noticed() {
    let said = failure(async || {
        let mut client = serve(echo()).connect().await;
        client.emit("echo", "x");
        client.expect_nothing().await;
    });
    assert!(said.starts_with(r#"expected nothing but received echo ["echo","x"]"#), "{said}");
}

#[test]
fn the_end_of_a_socket_is_noticed() {
    let said = failure(async || {
        let server = serve(Server::builder().on("go", async |socket: Socket| {
            socket.disconnect();
        }));
        let mut client = server.connect().await;
        client.emit("go", ());
        client.expect("anything").await;
    });
    assert!(said.starts_with("expected `anything` but the socket ended: Some(ByServer)"), "{said}");
}

#[test]
fn a_missing_answer_is_noticed() {
    let said = failure(async || {
        serve(echo()).connect().patience(Duration::from_secs(1)).await.call("nobody", ()).await;
    });
    assert!(said.starts_with("no answer to `nobody` within 1s"), "{said}");
}

#[test]
fn a_misread_argument_is_shown() {
    let said = failure(async || {
        let mut client = serve(echo()).connect().await;
        client.emit("echo", "seven");
        client.expect("echo").await.data::<u8>();
    });
    assert!(said.starts_with(r#"`echo` came with ["echo","seven"], but"#), "{said}");
}

#[test]
fn a_refusal_and_its_absence_are_noticed() {
    let builder =
        || Server::builder().namespace("/shut", |shut| shut.middleware(async || Err::<(), _>("shut")));
    let said = failure(async || drop(serve(builder()).connect().namespace("/shut").await));
    assert!(said.starts_with("the server refused CONNECT /shut"), "{said}");
    let said = failure(async || drop(serve(builder()).connect().refused().await));
    assert!(said.starts_with("expected a refusal"), "{said}");
    let refused = run(async { serve(builder()).connect().namespace("/nowhere").refused().await });
    assert_eq!(refused.message, "Invalid namespace");
}

#[tokio::test(start_paused = true)]
async fn skipping_and_draining() {
    let mut client = serve(echo()).connect().await;
    ["a", "b", "c"].into_iter().for_each(|text| client.emit("echo", text));
    client.send_raw(r#"42["echo","raw"]"#);
    assert_eq!(client.skip_to("echo").await.data::<String>(), "a");
    let rest: Vec<String> = client.drain().await.iter().map(|event| event.data()).collect();
    assert_eq!(rest, ["b", "c", "raw"]);
}

#[tokio::test(start_paused = true)]
async fn namespaces_share_a_connection() {
    let server = serve(
        echo().namespace("/a", |a| a.on_connect(async |socket: Socket| drop(socket.emit("welcome", "a")))),
    );
    let mut main = server.connect().await;
    let mut a = main.join_namespace("/a").await;
    assert_eq!(a.expect("welcome").await.data::<String>(), "a");
    main.disconnect();
    a.expect_nothing().await;
    // The connection is one: both are gone with it.
    let mut b = a.join_namespace("/").await;
    a.cut();
    assert_eq!(b.expect_disconnect().await, Ended::ByUs);
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_client() {
    let server = serve(Server::builder().on("start", async |socket: Socket| {
        tokio::spawn(async move {
            let answer: String = socket.call("question", Args((1, "two"))).await.unwrap();
            socket.emit("thanks", answer).unwrap();
        });
    }));
    for mut client in [server.connect().await, server.connect().msgpack().await] {
        client.emit("start", ());
        let question = client.expect("question").await;
        assert!(question.wants_answer());
        assert_eq!(question.args::<(u8, String)>(), (1, "two".to_owned()));
        question.answer("forty-two");
        assert_eq!(client.expect("thanks").await.data::<String>(), "forty-two");
    }
}

#[tokio::test(start_paused = true)]
async fn binary_is_seen_raw() {
    let server = serve(Server::builder());
    let mut client = server.connect().await;
    server.io().emit("file", Args((json!({"name": "x"}), Bytes::from_static(b"\x01")))).unwrap();
    let file = client.expect("file").await;
    assert_eq!(file.json(), r#"["file",{"name":"x"},{"_placeholder":true,"num":0}]"#);
    assert_eq!(file.attachments(), [Bytes::from_static(b"\x01")]);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_answered_while_time_flies() {
    let mut client = serve(echo()).connect().await;
    // Far more than ping interval and timeout: a client that did not answer would be gone.
    advance(Duration::from_secs(3600)).await;
    assert!(client.is_connected());
    client.emit("echo", "still here");
    assert_eq!(client.expect("echo").await.data::<String>(), "still here");
}

#[tokio::test(start_paused = true)]
async fn a_cut_client_recovers_what_it_missed() {
    let server = serve(echo().connection_state_recovery(ConnectionStateRecovery::new()));
    let mut client = server.connect().await;
    server.io().emit("news", "before").unwrap();
    client.expect("news").await;
    client.cut();
    advance(Duration::from_secs(1)).await;
    server.io().emit("news", "missed").unwrap();

    let mut again = client.reconnect().await;
    assert!(again.recovered_from(&client));
    assert_eq!(again.expect("news").await.data::<String>(), "missed");
    again.expect_nothing().await;

    // Too late the next time.
    again.cut();
    advance(Duration::from_secs(600)).await;
    assert!(!again.reconnect().await.recovered_from(&again));
}

#[tokio::test(start_paused = true)]
async fn closing_and_cutting_look_different_to_the_server() {
    let (sender, mut reasons) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(Server::builder().on_disconnect(move |reason: Reason| {
        let sender = sender.clone();
        async move { sender.send(reason.as_str().to_owned()).unwrap() }
    }));
    let mut client = server.connect().await;
    client.close();
    assert_eq!(reasons.recv().await.unwrap(), "transport close");
    drop(server.connect().await);
    assert_eq!(reasons.recv().await.unwrap(), "transport close");
    let mut client = server.connect().await;
    client.send_raw("4?");
    assert!(matches!(client.expect_disconnect().await, Ended::Closed { .. }));
    // As the reference calls what its decoder refuses.
    assert_eq!(reasons.recv().await.unwrap(), "forced close");
}
