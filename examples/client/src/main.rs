//! The client of README.md, word for word: `cargo run -p example-readme` in one terminal, this in another.

use sockeye_client::{Client, Data};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = Client::builder("http://127.0.0.1:3000")
        .on("said", |Data(text): Data<String>| async move { println!("{text}") })
        .connect()
        .await?; // the namespace has accepted, or this says why not
    let length: usize = socket.call("say", "hello").await?; // the server's ack
    println!("the server counted {length} bytes");
    socket.client().close().await;
    Ok(())
}
