use sockeye::{Server, Socket};

async fn say(_: Socket, _: String) {}

async fn check(_: Socket) -> bool {
    true
}

fn main() {
    let _ = Server::builder().on("say", say);
    let _ = Server::builder().middleware(check);
}
