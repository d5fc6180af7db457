//! The server of README.md, word for word.
//!
//! `cargo run -p example-readme`, then in a browser's console with socket.io-client 4:
//! `io("http://localhost:3000").emit("say", "hello", (length) => console.log(length))`.

use sockeye::{Data, Server, Socket};

async fn say(socket: Socket, Data(text): Data<String>) -> usize {
    socket.broadcast().emit("said", &text).ok();
    text.len() // answers the client's ack
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().on("say", say).build()?;
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(io.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
