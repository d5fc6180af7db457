//! The adapter seam, proved by two servers in one process.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::Server;
use sockeye::adapter::{Adapter, AdapterError, AdapterFuture, LocalNode, NodeId, Request, Response};
use sockeye::proto::{Args, Payload};

use crate::support::{Client, settle};

/// A bus in memory. Everything is carried by a task, as a network would.
#[derive(Clone, Default)]
struct Bus(Arc<Mutex<Vec<(NodeId, LocalNode)>>>);

struct OnBus {
    bus: Bus,
    id: NodeId,
}

impl Bus {
    fn adapter(&self, name: &str) -> OnBus {
        OnBus { bus: self.clone(), id: NodeId(name.into()) }
    }

    fn nodes(&self) -> Vec<(NodeId, LocalNode)> {
        self.0.lock().unwrap().clone()
    }
}

impl Adapter for OnBus {
    fn start(&self, node: LocalNode) {
        self.bus.0.lock().unwrap().push((self.id.clone(), node));
    }

    fn publish(&self, namespace: &str, request: &Request) -> Result<(), AdapterError> {
        for (id, node) in self.bus.nodes() {
            if id != self.id {
                let (namespace, request, from) = (namespace.to_owned(), request.clone(), self.id.clone());
                tokio::spawn(async move { node.request(&namespace, &from, request) });
            }
        }
        Ok(())
    }

    fn respond(&self, _: &str, to: &NodeId, response: &Response) -> Result<(), AdapterError> {
        for (id, node) in self.bus.nodes() {
            if id == *to {
                let response = response.clone();
                tokio::spawn(async move { node.response(response) });
            }
        }
        Ok(())
    }

    fn server_count<'a>(&'a self, _: &'a str) -> AdapterFuture<'a, usize> {
        let count = self.bus.nodes().len();
        Box::pin(async move { Ok(count) })
    }
}

async fn two() -> (Server, Server) {
    let bus = Bus::default();
    let server = |name| Server::builder().adapter(bus.adapter(name)).build().unwrap();
    (server("a"), server("b"))
}

#[tokio::test(start_paused = true)]
async fn broadcasts_reach_the_other_node_once() {
    let (a, b) = two().await;
    let (mut at_a, a_id) = Client::join(&a).await;
    let (mut at_b, b_id) = Client::join(&b).await;
    b.sockets_join("r");
    settle().await;
    a.emit("all", 1).unwrap();
    a.to("r").except(&a_id).emit("room", 2).unwrap();
    a.local().emit("here", 3).unwrap();
    a.to(&b_id).emit("one", 4).unwrap();
    for event in [r#"2["all",1]"#, r#"2["here",3]"#] {
        at_a.hears(event).await;
    }
    at_a.hears_nothing().await;
    for event in [r#"2["all",1]"#, r#"2["room",2]"#, r#"2["one",4]"#] {
        at_b.hears(event).await;
    }
    at_b.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn joining_leaving_disconnecting_across_nodes() {
    let (a, b) = two().await;
    let (mut client, id) = Client::join(&b).await;
    let socket = b.of("/").socket(&id).unwrap();
    a.to(&id).sockets_join("r");
    settle().await;
    assert!(socket.is_in("r"));
    a.to("r").sockets_leave("r");
    settle().await;
    assert!(!socket.is_in("r"));
    a.local().disconnect_sockets(true);
    settle().await;
    assert!(socket.is_connected());
    a.disconnect_sockets(false);
    client.hears("1").await;
}

#[tokio::test(start_paused = true)]
async fn sockets_are_found_and_reached_wherever_they_are() {
    let (a, b) = two().await;
    let (_at_a, a_id) = Client::join(&a).await;
    let (mut at_b, b_id) = Client::join(&b).await;
    b.of("/").socket(&b_id).unwrap().set_info("from b").unwrap();
    let found = a.fetch_sockets().await.unwrap();
    let mut ids: Vec<_> = found.iter().map(|socket| socket.id().to_owned()).collect();
    ids.sort();
    let mut expected = [a_id, b_id.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    let remote = found.iter().find(|socket| socket.id() == b_id).unwrap();
    assert_eq!(remote.info::<String>().unwrap().as_deref(), Some("from b"));
    remote.emit("hello", 1).unwrap();
    at_b.hears(r#"2["hello",1]"#).await;
    let sockeye::FoundSocket::Remote(remote) = remote.clone() else { panic!("it is not here") };
    let call = tokio::spawn(async move { remote.call::<u32>("age", 1, Duration::from_secs(5)).await });
    at_b.hears(r#"20["age",1]"#).await;
    at_b.say("30[42]").await;
    assert_eq!(call.await.unwrap(), Ok(42));
    assert_eq!(a.local().fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(a.server_count().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_are_gathered_across_nodes() {
    let (a, b) = two().await;
    let (mut at_a, a_id) = Client::join(&a).await;
    let (mut at_b, b_id) = Client::join(&b).await;
    let (_silent, _) = Client::join(&b).await;
    let call = tokio::spawn(a.timeout(Duration::from_secs(3)).call::<u32>("n", 1).into_future());
    at_a.hears(r#"20["n",1]"#).await;
    at_a.say("30[1]").await;
    at_b.hears(r#"20["n",1]"#).await;
    at_b.say("30[2]").await;
    let answers = call.await.unwrap();
    assert_eq!((answers.silent.len(), answers.silent_elsewhere, answers.silent_nodes), (0, 1, 0));
    let mut said: Vec<_> = answers.answers.into_iter().map(|(id, n)| (id.to_string(), n.unwrap())).collect();
    said.sort();
    let mut expected = [(a_id, 1), (b_id, 2)];
    expected.sort();
    assert_eq!(said, expected);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((a.stats().acks, b.stats().acks, b.stats().tasks), (0, 0, 0));

    let all = tokio::spawn(
        a.to([a.of("/").sockets()[0].id(), &expected[0].0, &expected[1].0]).call::<u32>("m", 1).into_future(),
    );
    at_a.hear().await;
    at_a.say("31[1]").await;
    at_b.hear().await;
    at_b.say("31[1]").await;
    assert!(all.await.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn servers_talk_among_themselves() {
    let (a, b) = two().await;
    let heard = crate::support::Log::default();
    let noted = heard.clone();
    b.on_server_event("sum", move |args| {
        let Args((x, y)) = args.arg::<Args<(u32, u32)>>().ok()?;
        noted.note(format!("{x}+{y}"));
        Payload::args(&(x + y)).ok()
    });
    a.on_server_event("sum", |_| panic!("not to itself"));
    a.server_side_emit("sum", Args((1, 2))).unwrap();
    settle().await;
    assert_eq!(heard.take(), ["1+2"]);
    let answers = a.server_side_call("sum", Args((3, 4))).await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].ack_arguments().arg::<u32>().unwrap(), 7);
    // Nobody there listens to this, which the asker finds out by waiting.
    let start = tokio::time::Instant::now();
    match a.server_side_call("unheard", 1).await {
        Err(error @ AdapterError::TimedOut { missing: 1, .. }) => {
            assert_eq!(error.to_string(), "timeout reached: missing 1 responses");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_only_one_node_has() {
    let bus = Bus::default();
    let a = Server::builder().adapter(bus.adapter("a")).namespace("/only", |ns| ns).build().unwrap();
    let _b = Server::builder().adapter(bus.adapter("b")).build().unwrap();
    let start = tokio::time::Instant::now();
    assert!(a.of("/only").fetch_sockets().await.unwrap().is_empty());
    assert!(a.of("/only").call::<u32>("x", 1).await.is_complete());
    assert_eq!(start.elapsed().as_secs(), 0);
}

/// A cluster of two, the other of which cannot be reached.
struct CutOff;

impl Adapter for CutOff {
    fn start(&self, _: LocalNode) {}

    fn publish(&self, _: &str, _: &Request) -> Result<(), AdapterError> {
        Err(AdapterError::Closed)
    }

    fn respond(&self, _: &str, _: &NodeId, _: &Response) -> Result<(), AdapterError> {
        Err(AdapterError::Closed)
    }

    fn server_count<'a>(&'a self, _: &'a str) -> AdapterFuture<'a, usize> {
        Box::pin(std::future::ready(Ok(2)))
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_not_waited_for() {
    let server = Server::builder().adapter(CutOff).build().unwrap();
    let start = tokio::time::Instant::now();
    assert!(matches!(server.server_side_emit("x", ()), Err(AdapterError::Closed)));
    assert!(matches!(server.server_side_call("x", ()).await, Err(AdapterError::Closed)));
    assert!(matches!(server.fetch_sockets().await, Err(AdapterError::Closed)));
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
    // Those who are here are served all the same.
    let (mut client, _) = crate::support::Client::join(&server).await;
    server.emit("news", 1).unwrap();
    client.hears(r#"2["news",1]"#).await;
    assert_eq!(server.stats().publish_failed, 1);
}
