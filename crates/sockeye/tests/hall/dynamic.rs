//! Namespaces that come and go with their clients.

use std::sync::Arc;
use std::time::Duration;

use sockeye::{Ack, NamespaceMatch, Refusal, Server, Socket};
use tokio::time::sleep;

use crate::support::{Client, Log, eventually, is_empty, settle};

#[tokio::test(start_paused = true)]
async fn children_come_with_the_first_client_and_go_with_the_last() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .dynamic_namespace("/orders/{id}", |ns| {
            ns.on("where", async |socket: Socket| Ack(socket.namespace().name().to_owned()))
        })
        .on_new_namespace(move |ns| noted.note(ns.name()))
        .build()
        .unwrap();
    let mut a = Client::open(&server).await;
    let mut b = Client::open(&server).await;
    for client in [&mut a, &mut b] {
        client.say("0/orders/7,").await;
        assert!(client.hear().await.starts_with("0/orders/7,{"));
    }
    assert_eq!(log.take(), ["/orders/7"]);
    a.say(r#"2/orders/7,0["where"]"#).await;
    a.hears(r#"3/orders/7,0["/orders/7"]"#).await;
    server.of("/orders/7").emit("x", 1).unwrap();
    a.hears(r#"2/orders/7,["x",1]"#).await;
    a.say("1/orders/7,").await;
    settle().await;
    assert!(server.find("/orders/7").is_some());
    drop(b);
    eventually(|| server.find("/orders/7").is_none()).await;
    assert_eq!(server.stats().namespaces, 1);
    a.say("0/orders/7,").await;
    assert!(a.hear().await.starts_with("0/orders/7,{"));
    assert_eq!(log.take(), ["/orders/7"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_leaves_no_namespace_behind() {
    let server = Server::builder()
        .dynamic_namespace("/x/{id}", |ns| {
            ns.middleware(async || {
                sleep(Duration::from_millis(10)).await;
                Err::<(), _>(Refusal::new("no"))
            })
        })
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    for n in 0..50 {
        client.say(&format!("0/x/{n},")).await;
    }
    for _ in 0..50 {
        assert!(client.hear().await.ends_with(r#"{"message":"no"}"#));
    }
    assert_eq!(server.stats().namespaces, 1);
}

#[tokio::test(start_paused = true)]
async fn children_may_stay() {
    let server = Server::builder()
        .dynamic_namespace("/x/{id}", |ns| ns)
        .cleanup_empty_child_namespaces(false)
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    client.say("0/x/1,").await;
    client.hear().await;
    drop(client);
    is_empty(&server).await;
    assert!(server.find("/x/1").is_some());
}

#[tokio::test(start_paused = true)]
async fn by_regex_or_by_asking() {
    let server = Server::builder()
        .dynamic_namespace(regex::Regex::new(r"^/room-\d+$").unwrap(), |ns| ns)
        .dynamic_namespace(
            NamespaceMatch::when(async |name: String, auth: Arc<str>| {
                sleep(Duration::from_millis(50)).await;
                assert!(name != "/panic");
                name == "/vip" && auth.contains("gold")
            }),
            |ns| ns.on("hi", async || Ack("vip")),
        )
        .build()
        .unwrap();
    let mut client = Client::open(&server).await;
    client.say("0/room-12,").await;
    assert!(client.hear().await.starts_with("0/room-12,{"));
    for wrong in ["/room-x", "/vip", "/panic"] {
        client.say(&format!("0{wrong},")).await;
        client.hears(&format!(r#"4{wrong},{{"message":"Invalid namespace"}}"#)).await;
    }
    client.say(r#"0/vip,{"card":"gold"}"#).await;
    client.say(r#"2/vip,0["hi"]"#).await;
    assert!(client.hear().await.starts_with("0/vip,{"));
    client.hears(r#"3/vip,0["vip"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn two_clients_at_once_make_one_child() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .dynamic_namespace(
            NamespaceMatch::when(async |_, _| {
                sleep(Duration::from_millis(10)).await;
                true
            }),
            |ns| ns,
        )
        .on_new_namespace(move |ns| noted.note(ns.name()))
        .build()
        .unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::open(&server).await;
        client.say("0/child,").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert!(client.hear().await.starts_with("0/child,{"));
    }
    assert_eq!(log.take(), ["/child"]);
    assert_eq!(server.of("/child").len(), 5);
}
