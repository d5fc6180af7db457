//! Typed events: a type knows its name on the wire and the type of its answer.
//!
//! `cargo run -p example-typed-events`, then in a browser's console with socket.io-client 4:
//! `io("http://localhost:3000").emit("guess", { number: 7 }, console.log)`.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use sockeye::{Ack, Event, Refusal, Server, Socket, State};
use tokio::net::TcpListener;

/// A client guesses. Hears back whether that was it.
#[derive(Deserialize, Event)]
#[event(name = "guess", ack = Verdict)]
struct Guess {
    number: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    TooLow,
    TooHigh,
    Right { guesses: u32 },
}

/// Everybody is told who won. The name is that of the type: `somebody_won`.
#[derive(Serialize, Event)]
struct SomebodyWon<'a> {
    winner: &'a str,
}

struct Secret {
    number: u32,
    guesses: AtomicU32,
}

// The attribute makes the compiler name the wrong argument, should one be.
#[sockeye::handler]
async fn guess(socket: Socket, guess: Guess, secret: State<Secret>) -> Result<Ack<Verdict>, Refusal> {
    if guess.number > 100 {
        // The client's callback gets {"error":{"message":"1 to 100, please"}}.
        return Err(Refusal::new("1 to 100, please"));
    }
    let guesses = secret.guesses.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Ack(match guess.number.cmp(&secret.number) {
        std::cmp::Ordering::Less => Verdict::TooLow,
        std::cmp::Ordering::Greater => Verdict::TooHigh,
        std::cmp::Ordering::Equal => {
            socket.namespace().emit_event(&SomebodyWon { winner: socket.id() })?;
            Verdict::Right { guesses }
        }
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = Secret { number: 42, guesses: AtomicU32::new(0) };
    let io = Server::builder().state(secret).on_event(guess).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("Socket.IO on http://{}", listener.local_addr()?);
    io.serve(listener).await;
    Ok(())
}
