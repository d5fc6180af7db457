//! A server without a framework: everybody hears what somebody says.
//!
//! `cargo run -p example-quickstart`, then in a browser's console with socket.io-client 4:
//! `io("http://localhost:3000").emit("say", "hello", (length) => console.log(length))`.

use sockeye::{Ack, Data, Server, Socket};
use tokio::net::TcpListener;

async fn say(socket: Socket, Data(text): Data<String>) -> Ack<usize> {
    // Tells everybody else. An error would say that the arguments cannot be written as JSON.
    socket.broadcast().emit("said", &text).ok();
    Ack(text.len())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().on("say", say).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("Socket.IO on http://{}", listener.local_addr()?);
    io.serve(listener).await;
    Ok(())
}
