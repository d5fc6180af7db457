//! Events in and out, and their answers.

use sockeye::{Ack, Data, Server, Socket};

use crate::support::{Client, is_empty};

#[tokio::test(start_paused = true)]
async fn an_echo_and_its_answer() {
    let server = Server::builder()
        .on("echo", async |socket: Socket, Data(text): Data<String>| {
            socket.emit("echo", &text).unwrap();
            Ack(text.len())
        })
        .build()
        .unwrap();
    let (mut client, _) = Client::join(&server).await;
    client.say(r#"27["echo","hello"]"#).await;
    client.hears(r#"2["echo","hello"]"#).await;
    client.hears("37[5]").await;
    client.say(r#"2["echo","again"]"#).await;
    client.hears(r#"2["echo","again"]"#).await;
    client.hears_nothing().await;
    drop(client);
    is_empty(&server).await;
}
