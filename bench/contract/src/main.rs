//! The server that the load generators expect: `contract PORT`, on Sockeye's public API and with its defaults, any origin
//! let in.
//!
//! | event | what happens |
//! |---|---|
//! | `echo` with an ack | acknowledged with the same arguments |
//! | `echo` without | `echo` with the same arguments back to the sender |
//! | `publish` (payload) | `news` with the payload to every socket |
//! | `join` (room) | joins, then acknowledges |
//! | `publish_room` (room, payload) | `news` with the payload to every member |

use sockeye::{AckSender, Args, Cors, Data, Origins, RawArgs, Server, Socket};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // On one core there is nobody to share work with, and a runtime that knows it spares the sharing.
    let one_core = std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    let mut runtime = match one_core {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: contract PORT")?.parse()?;
    let io = Server::builder()
        .cors(Cors::new(Origins::Any))
        .on("echo", echo)
        .on("publish", publish)
        .on("join", join)
        .on("publish_room", publish_room)
        .build()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    io.serve(listener).await;
    Ok(())
}

async fn echo(socket: Socket, args: RawArgs, ack: Option<AckSender>) {
    match ack {
        Some(ack) => ack.send_payload(args.to_answer()).ok(),
        None => socket.emit("echo", args.event_arguments().arg::<String>().unwrap_or_default()).ok(),
    };
}

async fn publish(io: Server, Data(payload): Data<String>) {
    io.emit("news", payload).ok();
}

async fn join(socket: Socket, Data(room): Data<String>) {
    socket.join(room);
}

async fn publish_room(io: Server, Args((room, payload)): Args<(String, String)>) {
    io.to(room).emit("news", payload).ok();
}
