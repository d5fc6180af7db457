//! A chat server inside an axum application. `cargo run -p example-axum-chat`; [`chat`] has the handlers.

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

mod chat;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = chat::server().build()?;
    // The application's own routes go on beside Socket.IO; they may emit, too.
    let news = io.clone();
    let app = Router::new()
        .route("/", get(|| async { "Socket.IO is at /socket.io/" }))
        .route(
            "/announce",
            get(|| async move {
                news.emit("announcement", "tea is ready").ok();
                "told everybody"
            }),
        )
        .layer(io.layer());

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
