//! Test a Sockeye application's handlers without sockets and without sleeping.
//!
//! A [`TestServer`] wraps the application's [`Server`](sockeye::Server); its clients speak real Socket.IO over
//! WebSocket frames, on a stream in memory, through the same door as everybody else. Time is virtual: it stands still
//! while anybody has something to do and jumps to the next timer when nobody has, so that a ping timeout of
//! 45 seconds takes no time and always happens at the same moment.
//!
//! ```
//! use sockeye::{Ack, Data, Server, Socket};
//! use sockeye_testkit::TestServer;
//!
//! async fn say(socket: Socket, Data(text): Data<String>) -> Ack<usize> {
//!     socket.broadcast().emit("said", &text).ok();
//!     Ack(text.len())
//! }
//!
//! # fn main() -> Result<(), sockeye::BuildError> {
//! let io = Server::builder().on("say", say).build()?;
//!
//! sockeye_testkit::run(async {
//!     let server = TestServer::new(io);
//!     let anna = server.connect().await;
//!     let mut ben = server.connect().await;
//!
//!     let length: usize = anna.call("say", "hello").await.data();
//!     assert_eq!(length, 5);
//!     assert_eq!(ben.expect("said").await.data::<String>(), "hello");
//!     ben.expect_nothing().await;
//! });
//! # Ok(())
//! # }
//! ```
//!
//! In a test of your own, `#[tokio::test(start_paused = true)]` does what [`run`] does here.
//!
//! Servers of a cluster are tested in one process, joined by a [`TestBus`] that can be slow, cut, or hostile.
//!
//! What is awaited and does not come fails the test after [`PATIENCE`] of virtual time, with what came instead.
//! Nothing in here has a back door into the server.

mod bus;
mod client;
mod received;
mod server;
mod wire;

use std::future::Future;
use std::time::Duration;

pub use bus::{TestBus, TestBusNode};
pub use client::{Call, Ended, Refused, TestClient};
pub use received::Received;
pub use server::{Connect, TestServer};

/// How long a client waits for what it expects, in virtual time, unless told otherwise: 5 seconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a test in virtual time, on a runtime of its own.
///
/// The same as `#[tokio::test(start_paused = true)]`, for where an attribute cannot stand.
///
/// # Panics
/// Inside another runtime, and when the test does.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(test),
        Err(error) => panic!("no runtime for the test: {error}"),
    }
}

/// Lets `time` pass: every timer that falls into it fires, in order, and what it starts runs before the next.
///
/// In virtual time this takes no time. Outside of it (a test without `start_paused`) it really waits.
pub async fn advance(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets everything that can run now, run: returns when all tasks wait for time or for the test.
///
/// Needs virtual time.
pub async fn settle() {
    // The shortest sleep there is: the clock only jumps over it when nothing else is left to do.
    tokio::time::sleep(Duration::from_millis(1)).await;
}
