//! What clients send stays out of the logs, at every level (threats J12).

use std::io;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};
use sockeye::layer::{Incoming, Next};
use sockeye::{Auth, Data, Outcome, RawArgs, Refusal, Server, Socket};
use sockeye_testkit::{TestServer, settle};

const CANARY: &str = "hunter2";

/// Everything that is logged on this thread while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Debug, Deserialize)]
struct Pin {
    #[allow(dead_code)]
    pin: u32,
}

#[tokio::test(start_paused = true)]
async fn no_payload_and_no_secret_is_logged() {
    async fn look(event: Incoming, next: Next) -> Outcome {
        tracing::info!(?event, "seen");
        let outcome = next.run().await;
        tracing::info!(?outcome, "over");
        outcome
    }
    async fn check(auth: Result<Auth<Value>, sockeye::Mismatch>) {
        tracing::info!(?auth, "came");
    }
    async fn strict(_: Auth<Pin>) {}
    async fn pin(_: Data<Pin>) {}
    async fn fails(Data(text): Data<String>) -> Result<u32, Refusal> {
        Ok(text.parse::<u32>()?)
    }
    async fn raw(raw: RawArgs) {
        tracing::info!(?raw, "raw");
    }
    async fn boom(_: Socket) {
        panic!("as the test wants");
    }

    let log = Log::default();
    let _listening = log.listen();
    let io = Server::builder()
        .layer(look)
        .middleware(check)
        .on("pin", pin)
        .on("fails", fails)
        .on("raw", raw)
        .on("boom", boom)
        .namespace("/strict", |strict_ns| strict_ns.middleware(strict))
        .build()
        .unwrap();
    let server = TestServer::new(io);
    let connect = || {
        let connect = server.connect().auth(json!({"token": CANARY, "pin": CANARY}));
        connect.query("token", CANARY).header("authorization", CANARY).header("cookie", CANARY)
    };
    let client = connect().await;
    connect().namespace("/strict").refused().await;
    client.call("pin", json!({"pin": CANARY})).await;
    client.call("pin", CANARY).await;
    client.call("fails", CANARY).await;
    client.call("raw", CANARY).await;
    client.emit("nobody", CANARY);
    client.emit("boom", CANARY);
    settle().await;
    connect().await.send_raw(format!(r#"42["{CANARY}"#));
    settle().await;

    let text = log.text();
    assert!(text.contains("expected u32"), "the log tells what was wanted:\n{text}");
    let failed = text.lines().find(|line| line.contains("a handler failed")).unwrap_or(&text);
    assert!(failed.contains("::fails\"") && failed.contains("invalid digit"), "{failed}");
    assert!(text.contains("seen") && text.contains("came") && text.contains("raw"), "{text}");
    assert!(!text.contains(CANARY), "{text}");
    // The session's id is a secret, too: whoever knows it is the client. A socket's id is not.
    assert!(!text.contains("sid="), "{text}");
}
