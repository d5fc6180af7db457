//! A server to talk to, in a thread of its own.

#![allow(dead_code)] // Each test takes what it needs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sockeye::{ConnectionStateRecovery, Data, RawArgs, Refusal, Server, Socket};
use tokio::net::TcpListener;

/// The program, without the flags that its environment would give it.
pub(crate) fn sockeye() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOCKEYE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Starts a server that ends with the process of the test; its URL.
pub(crate) fn serve() -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let io = Server::builder()
                .allow_eio3(true)
                .connection_state_recovery(ConnectionStateRecovery::default())
                .on("echo", |raw: RawArgs, ack: sockeye::AckSender| async move {
                    ack.send_payload(raw.to_answer()).unwrap();
                })
                .on("silence", |_: sockeye::AckSender| async { std::future::pending::<()>().await })
                // Comes back to everybody who is there.
                .on("shout", |socket: Socket, Data(text): Data<serde_json::Value>| async move {
                    socket.namespace().emit("shouted", text).unwrap();
                })
                .on("ask me", |socket: Socket, Data(question): Data<String>| async move {
                    let answer: serde_json::Value =
                        socket.call("question", question).timeout(Duration::from_secs(10)).await.unwrap();
                    socket.emit("answered", answer).unwrap();
                })
                .on("bytes", |socket: Socket| async move {
                    socket.emit("some bytes", sockeye_client::Value::Binary(vec![1, 2, 255].into())).unwrap();
                })
                .on("go away", |socket: Socket| async move { _ = socket.disconnect() })
                .namespace("/refusing", |namespace| {
                    namespace.middleware(|| async { Err::<(), _>(Refusal::new("not you").data([7])) })
                })
                .namespace("/other", |namespace| namespace.on("where", |_: Socket| async { "other" }))
                .namespace("/token", |namespace| {
                    namespace.on("whoami", |auth: sockeye::Auth<serde_json::Value>| async move { auth.0 })
                })
                .build()
                .unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            io.serve(listener).await;
        });
    });
    format!("http://{}", receiver.recv().unwrap())
}

/// A file for a test, gone with the directory.
pub(crate) fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
