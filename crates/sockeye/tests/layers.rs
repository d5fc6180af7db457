//! Layers: what they see, what they may do, in which order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use sockeye::handler::BoxFuture;
use sockeye::layer::{Incoming, Next};
use sockeye::{Ack, AckSender, Args, Data, Outcome, Refusal, Server, ServerBuilder, Socket};
use sockeye_testkit::{TestServer, advance, settle};

type Log = Arc<Mutex<Vec<String>>>;

fn serve(builder: ServerBuilder) -> TestServer {
    TestServer::new(builder.build().unwrap())
}

/// A layer that notes how each event ended.
fn noting(log: &Log) -> impl Fn(Incoming, Next) -> BoxFuture<Outcome> + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |event, next| {
        let log = Arc::clone(&log);
        Box::pin(async move {
            let start = tokio::time::Instant::now();
            let outcome = next.run().await;
            let took = start.elapsed().as_secs();
            let line = format!("{} {} {outcome:?} {took}s", event.name(), event.size());
            log.lock().unwrap().push(line);
            outcome
        })
    }
}

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_layer_sees_name_size_outcome_and_duration() {
    let log = Log::default();
    let server = serve(
        Server::builder()
            .layer(noting(&log))
            .on("say", async |Data(text): Data<String>| Ack(text))
            .on("quiet", async || {})
            .on("slow", async || tokio::time::sleep(Duration::from_secs(3)).await)
            .on("no", async || Err::<(), _>("because"))
            .on("later", async |_ack: AckSender| {}),
    );
    let client = server.connect().await;
    assert_eq!(client.call("say", "abc").await.data::<String>(), "abc");
    client.emit("quiet", ());
    client.emit("slow", ());
    client.emit("say", 5);
    client.emit("nobody", Args((1, 2)));
    advance(Duration::from_secs(4)).await;
    assert_eq!(client.call("no", ()).await.refusal().unwrap().0, "because");
    client.call("later", ()).expect_no_answer().await;
    assert_eq!(
        take(&log),
        [
            r#"say 13 Answered { bytes: 9 } 0s"#,
            r#"quiet 9 Done 0s"#,
            r#"say 9 Mismatch 0s"#,
            r#"nobody 14 Unheard 0s"#,
            r#"slow 8 Done 3s"#,
            r#"no 6 Failed { message: "because" } 0s"#,
            r#"later 9 Done 0s"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_layer_refuses_or_drops_before_any_handler() {
    async fn guard(event: Incoming, next: Next) -> Result<Outcome, Refusal> {
        match event.data::<String>().as_deref() {
            Ok("refuse") => Err(Refusal::new("not that").data(json!({"why": 1}))),
            Ok("drop") => Ok(Outcome::Dropped),
            _ => Ok(next.run().await),
        }
    }
    let log = Log::default();
    let heard = Log::default();
    let hear = {
        let heard = Arc::clone(&heard);
        move |Data(text): Data<String>| {
            heard.lock().unwrap().push(text);
            async { "heard" }
        }
    };
    let server = serve(Server::builder().layer(noting(&log)).layer(guard).on("e", hear));
    let mut client = server.connect().await;
    assert_eq!(
        client.call("e", "refuse").await.json(),
        r#"[{"error":{"message":"not that","data":{"why":1}}}]"#
    );
    client.call("e", "drop").expect_no_answer().await;
    client.emit("e", "refuse");
    assert_eq!(client.call("e", "fine").await.data::<String>(), "heard");
    client.expect_nothing().await;
    assert_eq!(take(&heard), ["fine"]);
    let refused = r#"e 14 Refused { message: "not that" } 0s"#;
    assert_eq!(take(&log), [refused, "e 12 Dropped 0s", refused, "e 12 Answered { bytes: 11 } 0s"]);
}

#[tokio::test(start_paused = true)]
async fn layers_nest_in_order_of_registration() {
    let log = Log::default();
    let layer = |name: &'static str| {
        let log = Arc::clone(&log);
        move |_: Incoming, next: Next| {
            let log = Arc::clone(&log);
            async move {
                log.lock().unwrap().push(format!("{name} in"));
                let outcome = next.run().await;
                log.lock().unwrap().push(format!("{name} out"));
                outcome
            }
        }
    };
    let server = serve(Server::builder().layer(layer("outer")).layer(layer("inner")).on("e", async || {}));
    server.connect().await.call("e", ()).await;
    assert_eq!(take(&log), ["outer in", "inner in", "inner out", "outer out"]);
}

#[tokio::test(start_paused = true)]
async fn layers_keep_the_order_of_events_and_may_wait() {
    let heard = Log::default();
    let hear = |heard: &Log| {
        let heard = Arc::clone(heard);
        move |Data(number): Data<u32>| {
            heard.lock().unwrap().push(number.to_string());
            async {}
        }
    };
    async fn through(_: Incoming, next: Next) -> Outcome {
        next.run().await
    }
    let server = serve(Server::builder().layer(through).layer(through).on("n", hear(&heard)));
    let client = server.connect().await;
    (0..100).for_each(|number| client.emit("n", number));
    settle().await;
    assert_eq!(take(&heard), (0..100).map(|number: u32| number.to_string()).collect::<Vec<_>>());

    async fn throttle(event: Incoming, next: Next) -> Outcome {
        if event.data::<u32>() == Ok(1) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        next.run().await
    }
    let server = serve(Server::builder().layer(throttle).on("n", hear(&heard)));
    let client = server.connect().await;
    [1, 2].into_iter().for_each(|number| client.emit("n", number));
    advance(Duration::from_secs(2)).await;
    assert_eq!(take(&heard), ["2", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_seen_and_goes_on() {
    let log = Log::default();
    async fn boom(_: Socket) {
        panic!("as the test wants");
    }
    let server = serve(Server::builder().layer(noting(&log)).on("boom", boom).on("fine", async || 1));
    let mut client = server.connect().await;
    let other = server.connect().await;
    client.emit("boom", ());
    client.expect_disconnect().await;
    assert_eq!(take(&log), ["boom 8 Panicked 0s"]);
    assert_eq!(other.call("fine", ()).await.data::<u8>(), 1);

    // A layer that panics is no better.
    async fn faulty(_: Incoming, _: Next) -> Outcome {
        panic!("as the test wants");
    }
    let server = serve(Server::builder().layer(faulty).on("fine", async || 1));
    let mut client = server.connect().await;
    client.emit("fine", ());
    client.expect_disconnect().await;
}
