//! The chat: names at the door, rooms, who is here. Tested below without a socket or a second of sleep.

use serde::{Deserialize, Serialize};
use sockeye::{Auth, Data, Reason, Refusal, Server, ServerBuilder, Socket, SocketData};

/// What a client sends with its CONNECT: `io({ auth: { name: "Anna" } })`.
#[derive(Deserialize)]
pub(crate) struct Login {
    name: String,
}

/// Who a socket is.
struct User {
    name: String,
}

/// One message, both ways: the client's has no sender yet.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    room: String,
    text: String,
    #[serde(default, skip_deserializing)]
    from: String,
}

pub(crate) fn server() -> ServerBuilder {
    Server::builder().middleware(enter).on("join", join).on("say", say).on_disconnect(leave)
}

/// Lets in whoever has a name.
async fn enter(socket: Socket, Auth(login): Auth<Login>) -> Result<(), Refusal> {
    if login.name.trim().is_empty() {
        return Err(Refusal::new("what is your name?"));
    }
    socket.set_data(User { name: login.name });
    Ok(())
}

/// Answers with how many are in the room now.
async fn join(socket: Socket, user: SocketData<User>, Data(room): Data<String>) -> Result<usize, Refusal> {
    socket.join(&room);
    socket.to(&room).emit("joined", &user.name)?;
    Ok(socket.namespace().sockets_in(&room).len())
}

async fn say(socket: Socket, user: SocketData<User>, Data(message): Data<Message>) -> Result<(), Refusal> {
    if !socket.is_in(&message.room) {
        return Err(Refusal::new("you are not in that room"));
    }
    let message = Message { from: user.name.clone(), ..message };
    socket.to(&message.room).emit("said", &message)?;
    Ok(())
}

async fn leave(socket: Socket, user: SocketData<User>, reason: Reason) {
    println!("{} left: {}", user.name, reason.as_str());
    socket.broadcast().emit("left", &user.name).ok();
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sockeye_testkit::TestServer;

    fn server() -> TestServer {
        TestServer::new(super::server().build().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_enters_without_a_name() {
        let server = server();
        assert_eq!(server.connect().auth(json!({"name": " "})).refused().await.message, "what is your name?");
        assert_eq!(server.connect().refused().await.message, "bad handshake");
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_hears_what_is_said_in_it() {
        let server = server();
        let mut anna = server.connect().auth(json!({"name": "Anna"})).await;
        let mut ben = server.connect().auth(json!({"name": "Ben"})).await;
        let mut cleo = server.connect().auth(json!({"name": "Cleo"})).await;

        assert_eq!(anna.call("join", "tea").await.data::<usize>(), 1);
        assert_eq!(ben.call("join", "tea").await.data::<usize>(), 2);
        assert_eq!(anna.expect("joined").await.data::<String>(), "Ben");

        assert!(anna.call("say", json!({"room": "tea", "text": "milk?"})).await.is_empty());
        let said: Value = ben.expect("said").await.data();
        assert_eq!(said, json!({"room": "tea", "text": "milk?", "from": "Anna"}));

        let refused = cleo.call("say", json!({"room": "tea", "text": "psst"})).await.refusal();
        assert_eq!(refused.unwrap().0, "you are not in that room");
        anna.expect_nothing().await;
        ben.expect_nothing().await;
        cleo.expect_nothing().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_is_missed() {
        let server = server();
        let mut anna = server.connect().auth(json!({"name": "Anna"})).await;
        let mut ben = server.connect().auth(json!({"name": "Ben"})).await;
        anna.cut();
        assert_eq!(ben.expect("left").await.data::<String>(), "Anna");
    }
}
