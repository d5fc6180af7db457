//! CONNECT: who gets in, in which order, and what happens to everybody else.

use std::time::Duration;

use sockeye::{Ack, Auth, Refusal, Server, Socket};
use tokio::time::sleep;

use crate::support::{Client, Log, eventually, field, is_empty, settle, sid};

#[tokio::test(start_paused = true)]
async fn the_answer_has_an_id_of_its_own() {
    let server = Server::builder().namespace("/chat", |ns| ns).build().unwrap();
    let mut client = Client::open(&server).await;
    client.say("0").await;
    let main = client.hear().await;
    assert!(main.starts_with("0{\"sid\":"), "{main}");
    assert_eq!(sid(&main).len(), 20);
    client.say("0/chat,").await;
    let chat = client.hear().await;
    assert!(chat.starts_with("0/chat,{\"sid\":"), "{chat}");
    assert_ne!(sid(&main), sid(&chat));
    let socket = server.of("/chat").socket(&sid(&chat)).unwrap();
    assert_eq!(socket.namespace().name(), "/chat");
    assert_eq!(socket.handshake().query_value("EIO").as_deref(), Some("4"));
    assert_eq!(server.of("/").len(), 1);
    assert_eq!(server.stats().engine.unsettled, 0);
}

#[tokio::test(start_paused = true)]
async fn unknown_namespaces_are_refused_and_the_session_goes_on() {
    let server = Server::builder().build().unwrap();
    let mut client = Client::open(&server).await;
    client.say("0/nowhere,").await;
    client.hears(r#"4/nowhere,{"message":"Invalid namespace"}"#).await;
    client.say("0/?a=1,").await;
    client.hears(r#"4/?a=1,{"message":"Invalid namespace"}"#).await;
    client.say(&format!("0/{},", "x".repeat(255))).await;
    assert!(client.hear().await.ends_with(r#"{"message":"Invalid namespace"}"#));
    client.say("0").await;
    assert!(client.hear().await.starts_with("0{"));
    assert_eq!(server.stats().refused, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_place_ends_the_session() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_disconnect(move |reason: sockeye::Reason| {
            noted.note(reason.as_str());
            async {}
        })
        .on("ping", async || Ack("pong"))
        .build()
        .unwrap();
    let (mut neighbour, _) = Client::join(&server).await;
    // Before any CONNECT.
    for wrong in [r#"2["x"]"#, "1", "30[]", "4{}", "nonsense", "", "0[]", r#"2/x,["y"]"#] {
        let mut client = Client::open(&server).await;
        client.say(wrong).await;
        assert_eq!(client.hears_the_end().await, [""; 0], "{wrong}");
    }
    assert_eq!(log.len(), 0);
    // After one.
    for wrong in ["0", "4{}", "2", r#"2[]"#, r#"2["disconnect"]"#, r#"2/x,["y"]"#, "1/x", "7", r#"51-["a"]"#]
    {
        let (mut client, _) = Client::join(&server).await;
        client.say(wrong).await;
        assert_eq!(client.hears_the_end().await, [""; 0], "{wrong}");
        settle().await;
        assert_eq!(log.take(), ["forced close"], "{wrong}");
    }
    neighbour.say(r#"20["ping"]"#).await;
    neighbour.hears(r#"30["pong"]"#).await;
    drop(neighbour);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_packet_is_waited_for_half_a_minute() {
    let server = Server::builder().build().unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"51-["x",{"_placeholder":true,"num":0}]"#).await;
    let start = tokio::time::Instant::now();
    client.hears_the_end().await;
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_namespace_is_closed_after_connect_timeout() {
    let server = Server::builder().connect_timeout(Duration::from_secs(7)).build().unwrap();
    let mut idle = Client::open(&server).await;
    let (mut joined, _) = Client::join(&server).await;
    joined.say("1").await;
    let start = tokio::time::Instant::now();
    idle.hears_the_end().await;
    assert_eq!(start.elapsed().as_secs(), 7);
    // One that joined once may stay without.
    joined.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn middlewares_run_in_order_and_refuse_with_data() {
    #[derive(serde::Deserialize)]
    struct Login {
        token: Option<String>,
    }
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let server = Server::builder()
        .middleware(move |Auth(login): Auth<Login>| {
            let log = first.clone();
            async move {
                sleep(Duration::from_millis(5)).await;
                log.note("first");
                match login.token.as_deref() {
                    Some("good") => Ok(()),
                    Some(_) => Err(Refusal::new("bad token").data(serde_json::json!({"code": 7}))),
                    None => Err(Refusal::new("no token")),
                }
            }
        })
        .middleware(move |socket: Socket| {
            second.note(format!("second {}", socket.is_connected()));
            async {}
        })
        .on_connect(async |socket: Socket| socket.emit("hello", 1).unwrap())
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    client.say("0").await;
    client.hears(r#"4{"message":"no token"}"#).await;
    client.say(r#"0{"token":"x"}"#).await;
    client.hears(r#"4{"message":"bad token","data":{"code":7}}"#).await;
    client.say(r#"0{"token":7}"#).await;
    client.hears(r#"4{"message":"bad handshake"}"#).await;
    assert_eq!(log.take(), ["first", "first"]);
    client.say(r#"0{"token":"good"}"#).await;
    assert!(client.hear().await.starts_with("0{"));
    client.hears(r#"2["hello",1]"#).await;
    assert_eq!(log.take(), ["first", "second false"]);
    let stats = server.stats();
    assert_eq!((stats.connected, stats.refused, stats.connecting), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_middleware_that_panics_refuses() {
    let server = Server::builder().middleware(async || -> () { panic!("oops") }).build().unwrap();
    let mut client = Client::open(&server).await;
    client.say("0").await;
    client.hears(r#"4{"message":"internal error"}"#).await;
    assert_eq!(server.stats().panics, 1);
    drop(client);
    is_empty(&server).await;
}

fn slow(server: sockeye::ServerBuilder) -> Server {
    server.middleware(async || sleep(Duration::from_secs(2)).await).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn packets_wait_for_the_verdict() {
    let server = slow(Server::builder().on("n", async |socket: Socket, n: sockeye::Data<u32>| {
        socket.emit("n", n.0).unwrap();
    }));
    let mut client = Client::open(&server).await;
    client.say("0").await;
    for n in 0..3 {
        client.say(&format!(r#"2["n",{n}]"#)).await;
    }
    client.hears_nothing().await;
    assert!(client.hear().await.starts_with("0{"));
    for n in 0..3 {
        client.hears(&format!(r#"2["n",{n}]"#)).await;
    }
    client.say(r#"2["n",3]"#).await;
    client.hears(r#"2["n",3]"#).await;
}

#[tokio::test(start_paused = true)]
async fn many_packets_before_the_verdict_stop_the_reading_and_lose_nothing() {
    let server = slow(Server::builder().on("n", async |n: sockeye::Data<u32>| Ack(n.0)));
    let mut client = Client::open(&server).await;
    client.say("0").await;
    for n in 0..200 {
        client.say(&format!(r#"2{n}["n",{n}]"#)).await;
    }
    assert!(client.hear().await.starts_with("0{"));
    for n in 0..200 {
        client.hears(&format!("3{n}[{n}]")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_connect_while_the_first_is_pending_ends_the_session() {
    let log = Log::default();
    let noted = log.clone();
    let server = slow(Server::builder().on_connect(move || {
        noted.note("connected");
        async {}
    }));
    let mut client = Client::open(&server).await;
    client.say("0").await;
    client.say("0").await;
    assert_eq!(client.hears_the_end().await, [""; 0]);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(log.len(), 0);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_a_middleware_was_never_there() {
    let log = Log::default();
    let (c, d) = (log.clone(), log.clone());
    let server = slow(
        Server::builder()
            .on_connect(move || {
                c.note("connect");
                async {}
            })
            .on_disconnect(move || {
                d.note("disconnect");
                async {}
            }),
    );
    let mut client = Client::open(&server).await;
    client.say("0").await;
    settle().await;
    assert_eq!(server.stats().connecting, 1);
    drop(client);
    is_empty(&server).await;
    assert_eq!(log.len(), 0);
    // Changing one's mind over the same session: in, and out again.
    let mut client = Client::open(&server).await;
    client.say("0").await;
    client.say("1").await;
    eventually(|| log.len() == 2).await;
    assert_eq!(log.take(), ["connect", "disconnect"]);
}

#[tokio::test(start_paused = true)]
async fn a_middleware_that_never_ends_is_given_up() {
    let server = Server::builder()
        .namespace("/stuck", |ns| ns.middleware(async || std::future::pending::<()>().await))
        .connect_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say("0/stuck,").await;
    let start = tokio::time::Instant::now();
    client.hears(r#"4/stuck,{"message":"timed out"}"#).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    eventually(|| server.stats().tasks == 0).await;
    drop(client);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn joins_and_emits_of_a_middleware_take_effect_when_the_socket_is_in() {
    let server = Server::builder()
        .middleware(async |socket: Socket| {
            socket.join(["a", "b"]);
            socket.leave("b");
            socket.emit("early", 1).unwrap();
            assert!(socket.is_in("a"));
            sleep(Duration::from_secs(1)).await;
        })
        .on_connect(async |socket: Socket| socket.emit("late", 2).unwrap())
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    client.say("0").await;
    settle().await;
    server.to("a").emit("too soon", 0).unwrap();
    let answer = client.hear().await;
    client.hears(r#"2["early",1]"#).await;
    client.hears(r#"2["late",2]"#).await;
    server.to("a").emit("room", 3).unwrap();
    client.hears(r#"2["room",3]"#).await;
    let rooms = server.of("/").socket(&sid(&answer)).unwrap().rooms();
    assert_eq!(rooms, [sid(&answer).as_str().into(), "a".into()]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_disconnected_by_a_middleware_is_refused() {
    let server = Server::builder()
        .middleware(async |socket: Socket| {
            assert!(socket.disconnect());
            assert!(!socket.disconnect());
        })
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    client.say("0").await;
    client.hears(r#"4{"message":"disconnected"}"#).await;
    drop(client);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_limited_number_of_namespaces() {
    let server = Server::builder()
        .dynamic_namespace("/d/{n}", |ns| ns)
        .max_namespaces_per_connection(3)
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    for n in 0..3 {
        client.say(&format!("0/d/{n},")).await;
        assert!(client.hear().await.starts_with(&format!("0/d/{n},{{")));
    }
    client.say("0/d/3,").await;
    client.hears(r#"4/d/3,{"message":"Invalid namespace"}"#).await;
    client.say("1/d/0,").await;
    client.say("0/d/3,").await;
    assert!(client.hear().await.starts_with("0/d/3,{"));
}

#[tokio::test(start_paused = true)]
async fn clients_of_protocol_3_are_in_at_once_and_speak_their_own_way() {
    let server = Server::builder()
        .on("hi", async |socket: Socket| Ack(socket.id().to_owned()))
        .namespace("/admin", |ns| {
            ns.middleware(async |socket: Socket| {
                match socket.auth::<serde_json::Value>().unwrap()["token"].as_str() {
                    Some("a b") => Ok(()),
                    _ => Err(Refusal::new("no").data("reason")),
                }
            })
        })
        .build()
        .unwrap();
    let mut client = Client::open_with(&server, "EIO=3&x=1", 1 << 16).await;
    client.hears("0").await;
    client.say(r#"20["hi"]"#).await;
    let answer = client.hear().await;
    let engine_id = server.of("/").sockets()[0].id().to_owned();
    assert_eq!(answer, format!(r#"30["{engine_id}"]"#));
    client.say("0/admin?token=wrong,").await;
    client.hears(r#"4/admin,"reason""#).await;
    client.say("0/admin?token=a%20b&y=2,").await;
    client.hears("0/admin,").await;
    assert_eq!(server.of("/admin").sockets()[0].id(), format!("/admin#{engine_id}"));
    client.say("0/nowhere,").await;
    client.hears(r#"4/nowhere,"Invalid namespace""#).await;
    server.emit("é", "ü").unwrap();
    client.hears(r#"2["\u00e9","\u00fc"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn msgpack_is_recognised_by_the_first_packet() {
    let server = Server::builder().on("hi", async || Ack(1)).build().unwrap();
    let mut client = Client::open(&server).await;
    // {"type":0,"nsp":"/"}
    client.say_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    let answer = client.hear().await;
    assert!(answer.starts_with('<') && answer.contains("sid"), "{answer}");
    // {"type":2,"nsp":"/","id":0,"data":["hi"]}
    client.say_binary(b"\x84\xa4type\x02\xa3nsp\xa1/\xa2id\x00\xa4data\x91\xa2hi").await;
    let answer = client.hear().await;
    assert!(answer.contains("data"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn auth_is_kept_with_the_socket_and_nowhere_printed() {
    let server = Server::builder().build().unwrap();
    let (_client, id) = Client::join_as(&server, r#"0{"token":"hush","n":1}"#).await;
    let socket = server.of("/").socket(&id).unwrap();
    assert_eq!(field(socket.auth_json(), "token"), "hush");
    assert!(!format!("{socket:?} {server:?} {:?}", socket.namespace()).contains("hush"));
}
