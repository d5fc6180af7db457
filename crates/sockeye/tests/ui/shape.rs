use std::rc::Rc;

use sockeye::Data;

#[sockeye::handler]
fn blocking(_: Data<String>) {}

#[sockeye::handler]
async fn borrows(_: &str) {}

#[sockeye::handler]
async fn stays() {
    let rc = Rc::new(1);
    std::future::ready(()).await;
    drop(rc);
}

fn main() {}
