//! Rooms and whom a broadcast reaches.

use sockeye::{EmitError, RoomEvent, Server, Socket};

use crate::support::{Client, Log, is_empty, settle};

#[tokio::test(start_paused = true)]
async fn everybody_in_the_rooms_once_but_for_the_excepted_and_the_sender() {
    let server = Server::builder().build().unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::join(&server).await);
    }
    let socket = |n: usize| server.of("/").socket(&clients[n].1).unwrap();
    let (a, b, c, d) = (socket(0), socket(1), socket(2), socket(3));
    a.join(["x", "y"]);
    b.join("x");
    c.join("y");
    d.join(vec!["x", "out"]);
    server.to("x").emit("1", 1).unwrap();
    server.to(["x", "y"]).except("out").emit("2", 2).unwrap();
    a.to("x").emit("3", 3).unwrap();
    a.broadcast().emit("4", 4).unwrap();
    a.except("x").emit("5", 5).unwrap();
    server.emit("6", 6).unwrap();
    server.to(d.id()).emit("7", 7).unwrap();
    server.in_("nowhere").emit("8", 8).unwrap();
    server.to("x").to("y").except(a.id()).emit("9", 9).unwrap();
    server.to("x").local().compress(false).emit("10", 10).unwrap();
    for (n, expected) in [
        (0, &[1, 2, 6, 10][..]),
        (1, &[1, 2, 3, 4, 6, 9, 10]),
        (2, &[2, 4, 5, 6, 9]),
        (3, &[1, 3, 4, 6, 7, 9, 10]),
        (4, &[4, 5, 6]),
    ] {
        for number in expected {
            clients[n].0.hears(&format!(r#"2["{number}",{number}]"#)).await;
        }
        clients[n].0.hears_nothing().await;
    }
    assert_eq!(server.of("/").sockets_in("x"), [a.clone(), b, d]);
    assert!(a.is_in("x") && !a.is_in("out"));
}

/// Alone or beside others, in whichever dialect: the same event, and a refusal before anybody got anything.
#[tokio::test(start_paused = true)]
async fn each_dialect_in_a_room_hears_the_event_in_its_own_words() {
    let server = Server::builder().on("join", async |socket: Socket| socket.join("r")).build().unwrap();
    let (mut json, _) = Client::join(&server).await;
    json.say(r#"2["join"]"#).await;
    settle().await;
    server.to("r").emit("é", "ü").unwrap();
    json.hears("2[\"é\",\"ü\"]").await;

    let mut old = Client::open_with(&server, "EIO=3", 1 << 16).await;
    assert!(old.hear().await.starts_with('0'));
    old.say(r#"2["join"]"#).await;
    let mut msgpack = Client::open(&server).await;
    // {"type":0,"nsp":"/"}
    msgpack.say_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    assert!(msgpack.hear().await.contains("sid"));
    // {"type":2,"nsp":"/","data":["join"]}
    msgpack.say_binary(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa4join").await;
    settle().await;
    server.to("r").emit("é", "ü").unwrap();
    json.hears("2[\"é\",\"ü\"]").await;
    old.hears(r#"2["\u00e9","\u00fc"]"#).await;
    let heard = msgpack.hear().await;
    assert!(heard.starts_with('<') && heard.contains("data"), "{heard}");

    for room in ["r", "nobody's"] {
        assert!(matches!(server.to(room).emit("disconnect", 1), Err(EmitError::Encode(_))));
    }
    for client in [&mut json, &mut old, &mut msgpack] {
        client.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_do_not_share_rooms() {
    let server = Server::builder().namespace("/b", |ns| ns).build().unwrap();
    let mut client = Client::open(&server).await;
    for connect in ["0", "0/b,"] {
        client.say(connect).await;
        client.hear().await;
    }
    server.sockets_join("r");
    server.of("/b").to("r").emit("x", 1).unwrap();
    client.hears_nothing().await;
    server.of("/b").emit("y", 2).unwrap();
    client.hears(r#"2/b,["y",2]"#).await;
}

#[tokio::test(start_paused = true)]
async fn joining_leaving_and_disconnecting_many() {
    let server = Server::builder().build().unwrap();
    let (mut a, a_id) = Client::join(&server).await;
    let (mut b, _) = Client::join(&server).await;
    server.sockets_join(["r", "s"]);
    server.to(&a_id).sockets_leave("r");
    server.to("r").emit("x", 1).unwrap();
    b.hears(r#"2["x",1]"#).await;
    a.hears_nothing().await;
    server.except(&a_id).disconnect_sockets(false);
    b.hears("1").await;
    b.hears_nothing().await;
    server.disconnect_sockets(true);
    a.hears("1").await;
    a.hears("closed").await;
    drop(b);
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn room_events_in_order() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_room(move |event| {
            let text = match event {
                RoomEvent::Created { room } => format!("create {room}"),
                RoomEvent::Joined { room, .. } => format!("join {room}"),
                RoomEvent::Left { room, .. } => format!("leave {room}"),
                RoomEvent::Deleted { room } => format!("delete {room}"),
                other => format!("{other:?}"),
            };
            noted.note(if text.len() > 15 {
                text.split_once(' ').unwrap().0.to_owned() + " own"
            } else {
                text
            });
        })
        .on_connect(async |socket: Socket| socket.join("r"))
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    assert_eq!(log.take(), ["create own", "join own", "create r", "join r"]);
    client.say("1").await;
    settle().await;
    assert_eq!(log.take(), ["leave own", "delete own", "leave r", "delete r"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_listener_may_use_the_server_and_may_panic() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .state(log.clone())
        .on_room(move |event| {
            noted.note("told");
            if let RoomEvent::Created { room } = event {
                assert!(&**room != "panic");
            }
        })
        .build()
        .unwrap();
    let (mut client, id) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    socket.join("panic");
    socket.join("fine");
    assert_eq!(log.len(), 6);
    server.to("fine").emit("x", 1).unwrap();
    client.hears(r#"2["x",1]"#).await;
}

#[tokio::test(start_paused = true)]
async fn fetching_describes_sockets() {
    let server = Server::builder().build().unwrap();
    let (_a, a_id) = Client::join(&server).await;
    let (_b, _) = Client::join(&server).await;
    let a = server.of("/").socket(&a_id).unwrap();
    a.join("r");
    a.set_info(serde_json::json!({"name": "ann"})).unwrap();
    let found = server.to("r").fetch_sockets().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id(), a_id);
    assert_eq!(found[0].rooms(), a.rooms());
    assert_eq!(found[0].info::<serde_json::Value>().unwrap().unwrap()["name"], "ann");
    assert_eq!(server.fetch_sockets().await.unwrap().len(), 2);
    assert_eq!(server.server_count().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn four_hundred_broadcasts_lose_nothing_and_keep_their_order() {
    let server = Server::builder().build().unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::join(&server).await.0);
    }
    for n in 0..400 {
        server.emit("n", n).unwrap();
    }
    for client in &mut clients {
        for n in 0..400 {
            client.hears(&format!(r#"2["n",{n}]"#)).await;
        }
    }
}
