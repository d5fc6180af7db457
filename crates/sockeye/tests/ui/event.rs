use sockeye::Event;

#[derive(Event)]
#[event(nam = "say")]
struct Say;

#[derive(Event)]
struct Disconnect;

/// Only sent: it cannot be read.
#[derive(serde::Serialize, Event)]
struct News {
    text: String,
}

#[sockeye::handler]
async fn hear(_: News) {}

fn main() {}
