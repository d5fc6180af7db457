//! The namespace `/bench`, for measuring: what `sockeye bench` asks of a server. Served only when asked for, since
//! everybody in it can speak to everybody.
//!
//! | event | what happens |
//! |---|---|
//! | `echo` with an ack | acknowledged with the same arguments, attachments included |
//! | `echo` without | `echo` with the same first argument back to the sender |
//! | `publish` (payload) | `news` with the payload to every socket of the namespace |
//! | `join` (room) | joins, then acknowledges |
//! | `publish_room` (room, payload) | `news` with the payload to every member |

use sockeye::{AckSender, Args, Data, RawArgs, ServerBuilder, Socket};

/// Adds the namespace.
pub(crate) fn add_to(builder: ServerBuilder) -> ServerBuilder {
    builder.namespace("/bench", |bench| {
        bench.on("echo", echo).on("publish", publish).on("join", join).on("publish_room", publish_room)
    })
}

// A socket that is gone needs no answer, and there is nobody to tell that an emit failed: hence the `ok` throughout.

async fn echo(socket: Socket, args: RawArgs, ack: Option<AckSender>) {
    match ack {
        Some(ack) => ack.send_payload(args.to_answer()).ok(),
        None => socket.emit("echo", args.event_arguments().arg::<String>().unwrap_or_default()).ok(),
    };
}

async fn publish(socket: Socket, Data(payload): Data<String>) {
    socket.namespace().emit("news", payload).ok();
}

async fn join(socket: Socket, Data(room): Data<String>) {
    socket.join(room);
}

async fn publish_room(socket: Socket, Args((room, payload)): Args<(String, String)>) {
    socket.namespace().to(room).emit("news", payload).ok();
}
