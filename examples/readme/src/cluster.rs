//! The last example of README.md, word for word, and what stands around it.

use sockeye::Server;
use sockeye_redis::{Redis, Streams};

fn one_of_several() -> Result<Server, Box<dyn std::error::Error>> {
    let redis = Redis::new("redis://10.0.0.5")?; // or rediss://, redis-cluster://, redis-sentinel://
    Ok(Server::builder().adapter(Streams::new(redis)).build()?)
}

#[tokio::test]
async fn a_server_is_built_whether_redis_is_there_or_not() {
    assert!(one_of_several().is_ok());
}
