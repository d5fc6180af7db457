//! Connection state recovery, as the official client uses it.

use std::time::Duration;

use sockeye::proto::Args;
use sockeye::{ConnectionStateRecovery, Data, RecoveryFailure, Server, ServerBuilder, Socket};
use tokio::time::sleep;

use crate::support::{Client, Log, eventually, field, is_empty, settle, sid};

fn recovering() -> ServerBuilder {
    Server::builder().connection_state_recovery(ConnectionStateRecovery::new())
}

/// Joins; gives id and pid.
async fn join(server: &Server) -> (Client, String, String) {
    let mut client = Client::open(server).await;
    client.say("0").await;
    let answer = client.hear().await;
    (client, sid(&answer), field(&answer, "pid"))
}

/// Comes back with a pid and an offset; gives everything up to and including the answer.
async fn back(server: &Server, pid: &str, offset: Option<&str>) -> (Client, Vec<String>) {
    let mut client = Client::open(server).await;
    match offset {
        Some(offset) => client.say(&format!(r#"0{{"pid":"{pid}","offset":"{offset}"}}"#)).await,
        None => client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await,
    }
    let mut heard = Vec::new();
    loop {
        heard.push(client.hear().await);
        if !heard.last().unwrap().starts_with('2') {
            return (client, heard);
        }
    }
}

/// The event without its offset, and the offset.
fn split(event: &str) -> (String, String) {
    let mut array: Vec<serde_json::Value> = serde_json::from_str(&event[1..]).unwrap();
    let offset = array.pop().unwrap();
    (serde_json::to_string(&array).unwrap(), offset.as_str().unwrap().to_owned())
}

async fn lost(server: &Server, sessions: usize) {
    eventually(|| server.stats().recovery_sessions == sessions).await;
}

#[tokio::test(start_paused = true)]
async fn works_without_a_first_event() {
    let server = recovering().build().unwrap();
    let (client, id, pid) = join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    assert!(!socket.recovered());
    socket.join("r");
    socket.set_data(7_u32);
    socket.set_info("ann").unwrap();
    drop(client);
    lost(&server, 1).await;
    server.to("r").emit("a", 1).unwrap();
    server.to("other").emit("b", 2).unwrap();
    server.except("r").emit("c", 3).unwrap();
    server.volatile().emit("d", 4).unwrap();
    server.to(&id).emit("e", 5).unwrap();
    let (mut client, heard) = back(&server, &pid, None).await;
    let events: Vec<_> = heard[..heard.len() - 1].iter().map(|event| split(event).0).collect();
    assert_eq!(events, [r#"["a",1]"#, r#"["e",5]"#]);
    let answer = heard.last().unwrap();
    assert_eq!((sid(answer), field(answer, "pid")), (id.clone(), pid));
    let socket = server.of("/").socket(&id).unwrap();
    assert!(socket.recovered());
    assert_eq!(socket.rooms(), [id.as_str().into(), "r".into()]);
    assert_eq!(socket.data::<u32>().as_deref(), Some(&7));
    assert_eq!(socket.info_json().as_deref(), Some("\"ann\""));
    server.to("r").emit("live", 6).unwrap();
    assert_eq!(split(&client.hear().await).0, r#"["live",6]"#);
    assert_eq!(server.stats().recovered, 1);
}

#[tokio::test(start_paused = true)]
async fn from_the_offset_on_none_twice() {
    let server = recovering().build().unwrap();
    let (mut client, id, pid) = join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    let mut offset = String::new();
    for n in 0..5 {
        if n % 2 == 0 {
            socket.emit("n", n).unwrap();
        } else {
            server.emit("n", n).unwrap();
        }
        let (event, at) = split(&client.hear().await);
        assert_eq!(event, format!(r#"["n",{n}]"#));
        if n == 2 {
            offset = at;
        }
    }
    drop(client);
    lost(&server, 1).await;
    server.emit("n", 5).unwrap();
    let (client, heard) = back(&server, &pid, Some(&offset)).await;
    let events: Vec<_> = heard[..heard.len() - 1].iter().map(|event| split(event).0).collect();
    assert_eq!(events, [r#"["n",3]"#, r#"["n",4]"#, r#"["n",5]"#]);
    // And again, from where it is now.
    let (_, offset) = split(&heard[1]);
    drop(client);
    lost(&server, 1).await;
    let (_client, heard) = back(&server, &pid, Some(&offset)).await;
    assert_eq!(heard.len(), 2);
    assert_eq!(split(&heard[0]).0, r#"["n",5]"#);
}

#[tokio::test(start_paused = true)]
async fn a_trailing_string_is_never_taken_for_an_offset() {
    let server = recovering().build().unwrap();
    let (mut client, id, pid) = join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    socket.emit("stored", 1).unwrap();
    client.hear().await;
    // The official client remembers the last string of the last event, whatever it is.
    socket.volatile().emit("cursor", "somewhere").unwrap();
    let (event, offset) = split(&client.hear().await);
    assert_eq!(event, r#"["cursor","somewhere"]"#);
    server.volatile().emit("bare", Args(())).unwrap();
    let (event, again) = split(&client.hear().await);
    assert_eq!((event.as_str(), again == offset), (r#"["bare"]"#, true));
    socket.volatile().emit("number", 1).unwrap();
    client.hears(r#"2["number",1]"#).await;
    drop(client);
    lost(&server, 1).await;
    let (_client, heard) = back(&server, &pid, Some(&offset)).await;
    assert_eq!(heard.len(), 1);
    assert_eq!(sid(&heard[0]), id);
}

#[tokio::test(start_paused = true)]
async fn a_pid_is_redeemed_once() {
    let server = recovering().build().unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    let (_one, first) = back(&server, &pid, None).await;
    assert_eq!(sid(&first[0]), id);
    let one = server.of("/").socket(&id).unwrap();
    // Again while it lives: the old connection is taken for dead, and the new one continues it.
    let (_two, second) = back(&server, &pid, None).await;
    assert_eq!(sid(&second[0]), id);
    assert!(!one.is_connected());
    assert_eq!(server.of("/").len(), 1, "never two sockets of one id");
    // Somebody else's pid is nobody's.
    let (_three, third) = back(&server, "AAAAAAAAAAAAAAAAAAAA", None).await;
    assert_ne!(sid(&third[0]), id);
    let failed = server.of("/").socket(&sid(&third[0])).unwrap();
    assert_eq!(failed.recovery_failure(), Some(RecoveryFailure::Unknown));
    assert!(!failed.recovered());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_gives_way() {
    let log = Log::default();
    let noted = log.clone();
    let server = recovering()
        .on_disconnect(move |socket: Socket, reason: sockeye::Reason| {
            noted.note(format!("{} {reason}", socket.recovered()));
            async {}
        })
        .build()
        .unwrap();
    let (mut old, id, pid) = join(&server).await;
    old.alive = false;
    server.emit("missed", 1).unwrap();
    let (mut new, heard) = back(&server, &pid, None).await;
    assert_eq!(split(&heard[0]).0, r#"["missed",1]"#);
    assert_eq!(sid(&heard[1]), id);
    assert_eq!(log.take(), ["false forced close"]);
    old.hears_the_end().await;
    server.emit("live", 2).unwrap();
    assert_eq!(split(&new.hear().await).0, r#"["live",2]"#);
}

#[tokio::test(start_paused = true)]
async fn who_left_or_was_sent_away_is_not_recovered() {
    let server = recovering().build().unwrap();
    let (mut client, id, pid) = join(&server).await;
    client.say("1").await;
    settle().await;
    assert_eq!(server.stats().recovery_sessions, 0);
    let (_c, heard) = back(&server, &pid, None).await;
    assert_ne!(sid(&heard[0]), id);

    let (_client, id, pid) = join(&server).await;
    server.of("/").socket(&id).unwrap().disconnect();
    let (_c, heard) = back(&server, &pid, None).await;
    assert_ne!(sid(&heard[0]), id);
    assert_eq!(server.stats().not_recovered, 2);
}

#[tokio::test(start_paused = true)]
async fn the_window_passes_and_that_is_told() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .connection_state_recovery(ConnectionStateRecovery::new().window(Duration::from_secs(10)))
        .on_recovery_expired(move |session| noted.note(format!("{} {:?}", session.id, session.rooms)))
        .build()
        .unwrap();
    let (client, id, pid) = join(&server).await;
    server.sockets_join("r");
    server.emit("x", 1).unwrap();
    drop(client);
    lost(&server, 1).await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(log.len(), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.take(), [format!("{id} [\"r\"]")]);
    let (_client, heard) = back(&server, &pid, None).await;
    assert_ne!(sid(&heard[0]), id);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(server.stats().recovery_bytes, 0, "packets go as well");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_missing_is_not_recovered() {
    let server = Server::builder()
        .connection_state_recovery(ConnectionStateRecovery::new().max_bytes(5_000))
        .build()
        .unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    for n in 0..100 {
        server.emit("x", format!("{n}{}", "y".repeat(200))).unwrap();
        assert!(server.stats().recovery_bytes <= 5_000);
    }
    let (_client, heard) = back(&server, &pid, None).await;
    assert_eq!(heard.len(), 1);
    let fresh = server.of("/").socket(&sid(&heard[0])).unwrap();
    assert_ne!(fresh.id(), id);
    assert_eq!(fresh.recovery_failure(), Some(RecoveryFailure::Evicted));
}

#[tokio::test(start_paused = true)]
async fn forgeries_get_a_fresh_socket() {
    let server = recovering().namespace("/other", |ns| ns).build().unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    let mut other = Client::open(&server).await;
    other.say(&format!(r#"0/other,{{"pid":"{pid}"}}"#)).await;
    assert_ne!(sid(&other.hear().await), id);
    for auth in
        [r#"{"pid":7}"#, r#"{"pid":null}"#, r#"{"pid":{}}"#, r#"{"offset":"x"}"#, r#"{"pid":"","offset":[]}"#]
    {
        let mut client = Client::open(&server).await;
        client.say(&format!("0{auth}")).await;
        let answer = client.hear().await;
        assert!(sid(&answer) != id && field(&answer, "pid") != pid, "{auth}");
    }
    let (_client, heard) = back(&server, &pid, Some("tomorrow")).await;
    assert_ne!(sid(&heard[0]), id);
    let fresh = server.of("/").socket(&sid(&heard[0])).unwrap();
    assert_eq!(fresh.recovery_failure(), Some(RecoveryFailure::BadOffset));
}

#[tokio::test(start_paused = true)]
async fn middlewares_run_again_unless_told_otherwise() {
    for (skip, expected) in [(false, 2), (true, 1)] {
        let log = Log::default();
        let (noted, connected) = (log.clone(), Log::default());
        let again = connected.clone();
        let server = Server::builder()
            .connection_state_recovery(ConnectionStateRecovery::new().skip_middlewares(skip))
            .middleware(move |socket: Socket| {
                noted.note(format!("{}", socket.recovered()));
                async { sleep(Duration::from_millis(100)).await }
            })
            .on_connect(move || {
                again.note("connect");
                async {}
            })
            .build()
            .unwrap();
        let (client, id, pid) = join(&server).await;
        drop(client);
        lost(&server, 1).await;
        let (_client, heard) = back(&server, &pid, None).await;
        assert_eq!(sid(heard.last().unwrap()), id);
        assert_eq!(log.len(), expected);
        eventually(|| connected.len() == 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_during_the_middleware_are_not_missed_either() {
    let server = recovering().middleware(async || sleep(Duration::from_secs(1)).await).build().unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    server.emit("before", 1).unwrap();
    let mut client = Client::open(&server).await;
    client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await;
    settle().await;
    server.emit("during", 2).unwrap();
    assert_eq!(split(&client.hear().await).0, r#"["before",1]"#);
    assert_eq!(split(&client.hear().await).0, r#"["during",2]"#);
    assert_eq!(sid(&client.hear().await), id);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_again_before_it_was_told_may_try_again() {
    let server = recovering().middleware(async || sleep(Duration::from_secs(1)).await).build().unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    let mut client = Client::open(&server).await;
    client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await;
    settle().await;
    assert_eq!(server.stats().recovery_sessions, 0);
    drop(client);
    lost(&server, 1).await;
    let (_client, heard) = back(&server, &pid, None).await;
    assert_eq!(sid(heard.last().unwrap()), id);
}

#[tokio::test(start_paused = true)]
async fn a_refused_recovery_is_spent() {
    let server = recovering()
        .middleware(async |socket: Socket| match socket.recovered() {
            true => Err(sockeye::Refusal::new("banned meanwhile")),
            false => Ok(()),
        })
        .build()
        .unwrap();
    let (client, id, pid) = join(&server).await;
    drop(client);
    lost(&server, 1).await;
    let (mut client, heard) = back(&server, &pid, None).await;
    assert_eq!(heard, [r#"4{"message":"banned meanwhile"}"#]);
    client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await;
    assert_ne!(sid(&client.hear().await), id);
    drop(client);
    eventually(|| server.stats().sockets == 0).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_recovered_is_told_of_in_time() {
    let log = Log::default();
    let noted = log.clone();
    let server = recovering()
        .on_recovery_expired(move |session| noted.note(session.id.to_string()))
        .middleware(async |socket: Socket| match socket.recovered() {
            true => Err(sockeye::Refusal::new("banned meanwhile")),
            false => Ok(()),
        })
        .build()
        .unwrap();
    let (refused, refused_id, pid) = join(&server).await;
    let (forger, forger_id, forged) = join(&server).await;
    let (quiet, quiet_id, _) = join(&server).await;
    drop((refused, forger, quiet));
    lost(&server, 3).await;
    let mut client = Client::open(&server).await;
    client.say(&format!(r#"0{{"pid":"{pid}"}}"#)).await;
    client.hears(r#"4{"message":"banned meanwhile"}"#).await;
    let (_client, heard) = back(&server, &forged, Some("tomorrow")).await;
    assert_ne!(sid(&heard[0]), forger_id);
    assert_eq!(log.len(), 0);
    // Others go on sending all the while, which must not make anybody be forgotten.
    for _ in 0..130 {
        sleep(Duration::from_secs(1)).await;
        server.emit("x", 1).unwrap();
    }
    let mut told = log.take();
    told.sort();
    let mut expected = [refused_id, forger_id, quiet_id];
    expected.sort();
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn the_official_example_with_acks_and_handlers() {
    let server = recovering()
        .on("say", async |socket: Socket, Data(text): Data<String>| {
            socket.server().emit("said", &text).unwrap();
            text.len()
        })
        .build()
        .unwrap();
    let (mut client, ..) = join(&server).await;
    client.say(r#"20["say","hi"]"#).await;
    let (event, _) = split(&client.hear().await);
    assert_eq!(event, r#"["said","hi"]"#);
    client.hears("30[2]").await;
    drop(client);
    sleep(Duration::from_secs(400)).await;
    is_empty(&server).await;
    assert_eq!((server.stats().recovery_sessions, server.stats().recovery_bytes), (0, 0));
}
