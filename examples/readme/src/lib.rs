//! The second example of README.md, word for word, and what stands around it.

#[cfg(test)]
mod cluster;

use serde::{Deserialize, Serialize};
use sockeye::{BuildError, Event, Refusal, Server, Socket, State};

#[derive(Serialize, Deserialize, Event)]
#[event(name = "move", ack = u32)]
struct Move {
    piece: String,
    to: u8,
}

async fn play(socket: Socket, mv: Move, games: State<Games>) -> Result<u32, Refusal> {
    let turn = games.play(socket.id(), &mv)?;
    socket.to("table 7").emit_event(&mv)?;
    Ok(turn)
}

/// The tables of a club.
#[derive(Default)]
struct Games(std::sync::atomic::AtomicU32);

impl Games {
    /// Makes a move; says which turn it was.
    fn play(&self, player: &str, mv: &Move) -> Result<u32, Refusal> {
        if mv.to > 63 || mv.piece.is_empty() || player.is_empty() {
            return Err(Refusal::new("no such move"));
        }
        Ok(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// A server with that handler.
///
/// # Errors
/// When the state is forgotten.
pub fn server() -> Result<Server, BuildError> {
    Server::builder().state(Games::default()).on_event(play).build()
}
