use sockeye::{Data, Socket};

struct Text;

#[sockeye::handler]
async fn bare(_: Socket, _: Text) {}

#[sockeye::handler]
async fn unreadable(_: Data<Text>) {}

#[sockeye::handler(connect)]
async fn payload_of_nothing(_: Socket, _: Data<String>) {}

fn main() {}
