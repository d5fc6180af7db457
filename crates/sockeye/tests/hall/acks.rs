//! Answers that the server asks for: of one socket, of many, in time or not.

use std::time::Duration;

use sockeye::proto::Args;
use sockeye::{CallError, Server, Socket};
use tokio::time::sleep;

use crate::support::{Client, eventually, is_empty, settle, sid};

async fn pair() -> (Server, Client, Socket) {
    let server = Server::builder().build().unwrap();
    let (client, id) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    (server, client, socket)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_once() {
    let (server, mut client, socket) = pair().await;
    let answer = tokio::spawn(socket.call::<u32>("age", "bob").into_future());
    client.hears(r#"20["age","bob"]"#).await;
    client.say("30[42]").await;
    client.say("30[43]").await;
    assert_eq!(answer.await.unwrap(), Ok(42));
    settle().await;
    assert_eq!(server.stats().stray_acks, 1);
    assert_eq!(server.stats().acks, 0);

    let several = tokio::spawn(socket.call::<Args<(u8, String)>>("two", Args((1, 2))).into_future());
    client.hears(r#"21["two",1,2]"#).await;
    client.say(r#"31[1,"x"]"#).await;
    assert_eq!(several.await.unwrap(), Ok(Args((1, "x".to_owned()))));

    let none = tokio::spawn(socket.call::<()>("none", 1).into_future());
    client.hears(r#"22["none",1]"#).await;
    client.say("32[]").await;
    assert_eq!(none.await.unwrap(), Ok(()));

    let wrong = tokio::spawn(socket.call::<u32>("wrong", 1).into_future());
    client.hears(r#"23["wrong",1]"#).await;
    client.say(r#"33["x"]"#).await;
    assert!(matches!(wrong.await.unwrap(), Err(CallError::Answer(_))));
}

use std::future::IntoFuture;

#[tokio::test(start_paused = true)]
async fn binary_answers() {
    let (_server, mut client, socket) = pair().await;
    let call = socket.call::<serde_bytes::ByteBuf>("blob", serde_bytes::ByteBuf::from(b"in".to_vec()));
    let answer = tokio::spawn(call.into_future());
    client.hears(r#"51-0["blob",{"_placeholder":true,"num":0}]"#).await;
    client.hears("<in>").await;
    client.say(r#"61-0[{"_placeholder":true,"num":0}]"#).await;
    client.say_binary(b"out").await;
    assert_eq!(answer.await.unwrap().unwrap().into_vec(), b"out");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_late_foreign_or_never_asked_for_reach_nobody() {
    let (server, mut client, socket) = pair().await;
    let (mut thief, _) = Client::join(&server).await;
    let late = tokio::spawn(socket.call::<u32>("a", 1).timeout(Duration::from_secs(1)).into_future());
    client.hears(r#"20["a",1]"#).await;
    thief.say("30[666]").await;
    thief.say("399[1]").await;
    assert_eq!(late.await.unwrap(), Err(CallError::TimedOut));
    assert_eq!(server.stats().acks, 0, "an expired wait leaves nothing");
    let next = tokio::spawn(socket.call::<u32>("b", 1).into_future());
    client.hears(r#"21["b",1]"#).await;
    client.say("30[1]").await;
    client.say("31[2]").await;
    assert_eq!(next.await.unwrap(), Ok(2));
    assert_eq!(server.stats().stray_acks, 3);
}

#[tokio::test(start_paused = true)]
async fn waits_end_with_the_socket_and_with_their_future() {
    let (server, mut client, socket) = pair().await;
    let gone = tokio::spawn(socket.call::<u32>("a", 1).into_future());
    let dropped = socket.call::<u32>("b", 1);
    assert_eq!(server.stats().acks, 2);
    drop(dropped);
    assert_eq!(server.stats().acks, 1);
    client.hear().await;
    drop(client);
    assert_eq!(gone.await.unwrap(), Err(CallError::Disconnected));
    assert_eq!(socket.call::<u32>("c", 1).await, Err(CallError::Disconnected));
    is_empty(&server).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_a_call_waits_a_minute() {
    let (_server, mut client, socket) = pair().await;
    let start = tokio::time::Instant::now();
    let call = tokio::spawn(socket.call::<u32>("a", 1).into_future());
    client.hear().await;
    // Something has to answer the pings meanwhile.
    tokio::select! {
        heard = client.hear() => panic!("{heard}"),
        answer = call => assert_eq!(answer.unwrap(), Err(CallError::TimedOut)),
    }
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_the_oldest_wait_is_over() {
    let server = Server::builder().max_acks_per_socket(2).build().unwrap();
    let (_client, id) = Client::join(&server).await;
    let socket = server.of("/").socket(&id).unwrap();
    let first = tokio::spawn(socket.call::<u32>("a", 1).into_future());
    let others = [socket.call::<u32>("b", 1), socket.call::<u32>("c", 1)];
    assert_eq!(first.await.unwrap(), Err(CallError::TimedOut));
    assert_eq!(server.stats().acks, 2);
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn a_reserved_name_is_not_sent() {
    let (server, _client, socket) = pair().await;
    assert!(socket.emit("disconnect", 1).is_err());
    assert!(matches!(socket.call::<()>("connect", 1).await, Err(CallError::NotSent(_))));
    assert_eq!(server.stats().acks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_gathers_answers_and_names_who_is_silent() {
    let server = Server::builder().build().unwrap();
    let (mut a, a_id) = Client::join(&server).await;
    let (mut b, b_id) = Client::join(&server).await;
    let (c, c_id) = Client::join(&server).await;
    server.sockets_join("jury");
    let (mut out, _) = Client::join(&server).await;
    let vote = server.to("jury").timeout(Duration::from_secs(5)).call::<bool>("guilty?", 1);
    assert_eq!(server.stats().acks, 3);
    let vote = tokio::spawn(vote.into_future());
    a.hears(r#"20["guilty?",1]"#).await;
    b.hears(r#"20["guilty?",1]"#).await;
    b.say("30[true]").await;
    a.say(r#"30["perhaps"]"#).await;
    let answers = vote.await.unwrap();
    assert!(!answers.is_complete());
    assert_eq!(answers.silent, [c_id.as_str().into()]);
    let mut said: Vec<_> =
        answers.answers.iter().map(|(id, vote)| (id.to_string(), vote.clone().ok())).collect();
    said.sort();
    let mut expected = [(a_id, None), (b_id, Some(true))];
    expected.sort();
    assert_eq!(said, expected);
    assert_eq!(server.stats().acks, 0, "nobody owes an answer any more");
    out.hears_nothing().await;
    drop(c);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_is_complete_when_all_have_answered_or_left() {
    let server = Server::builder().build().unwrap();
    let empty = server.to("nobody").call::<u32>("x", 1).await;
    assert!(empty.is_complete() && empty.answers.is_empty());
    let mut first = Client::open(&server).await;
    first.say("0").await;
    let id = sid(&first.hear().await);
    let (second, _) = Client::join(&server).await;
    let start = tokio::time::Instant::now();
    let call = tokio::spawn(server.call::<u32>("x", 1).into_future());
    first.hears(r#"21["x",1]"#).await;
    first.say("31[1]").await;
    sleep(Duration::from_secs(1)).await;
    drop(second);
    let answers = call.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(answers.missing(), 1);
    assert_eq!(answers.answers.len(), 1);
    assert_eq!(answers.answers[0].0.0.as_deref(), Some(id.as_str()));
    eventually(|| server.stats().sockets == 1).await;
}
