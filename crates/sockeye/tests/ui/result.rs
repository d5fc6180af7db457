use sockeye::Ack;

struct Length;

#[sockeye::handler]
async fn length() -> Length {
    Length
}

#[sockeye::handler]
async fn unwritable() -> Ack<Length> {
    Ack(Length)
}

#[sockeye::handler]
async fn fails() -> Result<(), Length> {
    Err(Length)
}

fn main() {}
