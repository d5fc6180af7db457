//! Work in known amounts: `counts CASE TIMES`.
//!
//! Callgrind counts the instructions of two runs, one with twice the work of the other; their difference is what the
//! work costs, and everything else (start, connections, tables) falls out. One thread, Unix sockets, no clock in the
//! way, so the figures hardly move from run to run. `cargo xtask perf` runs all cases and compares.
//!
//! | case | once |
//! |---|---|
//! | `decode` | one masked frame to one event: frame, UTF-8, packet, JSON |
//! | `encode` | one typed event to one frame |
//! | `dispatch` | one event in, its handler, its ack out, over a socket |
//! | `direct` | one event to one socket, by its handle |
//! | `own` | the same by the room named by its id |
//! | `room` | the same by a room that it alone is in |
//! | `room-of-100000` | the same, beside 100,000 other rooms |
//! | `room-of-1000000` | the same, beside a million |
//! | `fanout-10` … `fanout-8000` | one recipient of a broadcast to so many, the frame shared |
//! | `attachment` | one event with 64 KiB of binary in, its handler, the same as its ack out |
//! | `publish` | one recipient of a broadcast to 100 from inside a handler: queued, and written when the turn ends |

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use sockeye::{AckSender, Data, RawArgs, Server, Socket};
use sockeye_proto::socket::{Choice, Decoder, Dialect, Limits, Protocol, encode_event};
use sockeye_proto::websocket::frame::{self, OpCode};
use sockeye_proto::websocket::{Event, Reader, ReaderConfig, Role};

/// Of `publish`.
const RECIPIENTS: usize = 100;
const TEXT: &str = "sixty-four bytes of text or so, as people write it to each other";

fn main() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).expect("more descriptors");
    let arguments: Vec<String> = std::env::args().collect();
    let times = arguments.get(2).and_then(|times| times.parse().ok()).unwrap_or(1000);
    match arguments.get(1).map(String::as_str) {
        Some("decode") => decode(times),
        Some("encode") => encode(times),
        Some("dispatch") => connected(|io| dispatch(io, times)),
        Some("fanout-10") => connected(|io| fanout(io, times, 10)),
        Some("fanout-100") => connected(|io| fanout(io, times, 100)),
        Some("fanout-1000") => connected(|io| fanout(io, times, 1000)),
        // Two descriptors each; more than 20,000 is more than many systems let one process have.
        Some("fanout-8000") => connected(|io| fanout(io, times, 8000)),
        Some("attachment") => connected(|io| attachment(io, times)),
        Some("publish") => connected(|io| publish(io, times)),
        Some("direct") => connected(|io| alone(io, times, 0, |socket| drop(socket.emit("news", TEXT)))),
        Some("own") => connected(|io| {
            alone(io, times, 0, |socket| drop(socket.server().to(socket.id()).emit("news", TEXT)))
        }),
        Some("room") => {
            connected(|io| alone(io, times, 0, |socket| drop(socket.server().to("room").emit("news", TEXT))))
        }
        Some("room-of-100000") => connected(|io| {
            alone(io, times, 100_000, |socket| drop(socket.server().to("room").emit("news", TEXT)))
        }),
        Some("room-of-1000000") => connected(|io| {
            alone(io, times, 1_000_000, |socket| drop(socket.server().to("room").emit("news", TEXT)))
        }),
        _ => {
            eprintln!("usage: counts CASE TIMES (see the source for the cases)");
            std::process::exit(2);
        }
    }
}

/// A client's frame.
fn masked(packet: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(OpCode::Text, false, packet.as_bytes(), Some([1, 2, 3, 4]), &mut out);
    out
}

fn decode(times: usize) {
    let wire = masked(
        r#"4217["move",{"x":12,"y":34,"name":"salmon"},"and text of sixty-four bytes or so, as people write it"]"#,
    );
    let mut reader = Reader::new(Role::Server, ReaderConfig::default());
    let mut decoder = Decoder::choose(&Choice::Json, Protocol::V5, Limits::default().into());
    for _ in 0..times {
        let mut wire = wire.clone();
        let Ok((_, Some(Event::Text(text)))) = reader.read(&mut wire) else { panic!("not a message") };
        let packet = decoder.text(&text[1..]);
        assert!(matches!(black_box(packet), Ok(Some(_))));
    }
}

fn encode(times: usize) {
    #[derive(Serialize)]
    struct Move<'a> {
        x: u32,
        y: u32,
        name: &'a str,
    }
    let moved = Move { x: 12, y: 34, name: "salmon" };
    for _ in 0..times {
        let packet = encode_event("/", None, "move", black_box(&moved), &Dialect::Json(Protocol::V5), true);
        assert!(black_box(packet).is_ok());
    }
}

/// Runs `work` with a server that answers `say` with what it got, and tells everybody what it got by `publish`.
fn connected<F: Future<Output = ()>>(work: impl FnOnce(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let io = Server::builder()
            .on("say", async |Data(text): Data<String>| text)
            .on("echo", async |args: RawArgs, ack: AckSender| drop(ack.send_payload(args.to_answer())))
            .on("publish", async |io: Server, Data(text): Data<String>| drop(io.emit("news", text)))
            .build()
            .expect("a server");
        work(io).await;
        // Taking a million rooms apart is not what is counted.
        std::process::exit(0);
    });
}

/// A client, joined to `/`. It is driven by hand: what it does is a system call and nothing else.
async fn client(io: &Server) -> UnixStream {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("a socket that does not block");
    theirs.set_nonblocking(true).expect("a socket that does not block");
    let (parts, ()) = http::Request::get("/socket.io/?EIO=4&transport=websocket")
        .header("host", "localhost")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
        .body(())
        .expect("a request")
        .into_parts();
    let theirs = tokio::net::UnixStream::from_std(theirs).expect("a stream");
    io.attach(theirs, parts, Bytes::new(), sockeye::Peer::default()).await;
    // First the open packet, then the answer to CONNECT.
    settle(&mut ours, b"}").await;
    ours.write_all(&masked("40")).expect("room");
    settle(&mut ours, b"}").await;
    ours
}

/// Lets the server work until it has sent something, and reads that.
async fn settle(ours: &mut UnixStream, end: &[u8]) {
    let mut buffer = [0; 4096];
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
        if let Ok(count) = ours.read(&mut buffer)
            && buffer[..count].ends_with(end)
        {
            return;
        }
    }
}

async fn dispatch(io: Server, times: usize) {
    let client = tokio::net::UnixStream::from_std(client(&io).await).expect("a stream");
    let event = masked(r#"4217["say","sixty-four bytes of text or so, as people write it to each other"]"#);
    let mut buffer = [0; 4096];
    for _ in 0..times {
        client.writable().await.expect("a connection");
        client.try_write(&event).expect("room");
        // Waits for the kernel's word, as a client elsewhere would; its own part is in the figure, and small.
        while client.try_read(&mut buffer).is_err() {
            client.readable().await.expect("a connection");
        }
    }
}

async fn attachment(io: Server, times: usize) {
    const SIZE: usize = 64 * 1024;
    let mut client = client(&io).await;
    let mut event = masked(r#"451-17["echo",{"_placeholder":true,"num":0}]"#);
    frame::encode(OpCode::Binary, false, &[7; SIZE], Some([1, 2, 3, 4]), &mut event);
    let mut buffer = vec![0; 2 * SIZE];
    for _ in 0..times {
        client.write_all(&event).expect("room");
        let mut got = 0;
        while got < SIZE {
            tokio::task::yield_now().await;
            got += client.read(&mut buffer).unwrap_or(0);
        }
    }
}

/// `times` recipients, so many at a time.
async fn fanout(io: Server, times: usize, recipients: usize) {
    let mut clients = Vec::new();
    for _ in 0..recipients {
        clients.push(client(&io).await);
    }
    let mut buffer = [0; 4096];
    for _ in 0..times / recipients {
        io.emit("news", TEXT).expect("an event");
        for client in &mut clients {
            assert!(client.read(&mut buffer).expect("the event") > 64);
        }
    }
}

/// The same from a handler.
async fn publish(io: Server, times: usize) {
    let mut clients = Vec::new();
    for _ in 0..RECIPIENTS {
        clients.push(client(&io).await);
    }
    let event = masked(r#"42["publish","sixty-four bytes of text or so, as people write it to each other"]"#);
    let mut buffer = [0; 4096];
    for _ in 0..times / RECIPIENTS {
        clients[0].write_all(&event).expect("room");
        settle(&mut clients[0], b"]").await;
        for client in &mut clients[1..] {
            assert!(client.read(&mut buffer).expect("the event") > 64);
        }
    }
}

/// One socket, in `rooms` rooms beside its own and `room`.
async fn alone(io: Server, times: usize, rooms: usize, send: impl Fn(&Socket)) {
    let mut client = client(&io).await;
    let socket = io.of("/").sockets().pop().expect("a socket");
    socket.join("room");
    for room in 0..rooms {
        socket.join(format!("other room {room}"));
    }
    let mut buffer = [0; 4096];
    for _ in 0..times {
        send(&socket);
        assert!(client.read(&mut buffer).expect("the event") > 64);
    }
}
