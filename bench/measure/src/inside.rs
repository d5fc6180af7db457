//! Figures that only a server in this very process can give: how long its own work takes, with nobody else's on the
//! processor. The clients are the other ends of socket pairs that nobody reads from while the clock runs; the kernel
//! keeps what they are sent.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockeye::engine::DeflateOptions;
use sockeye::{Data, Peer, Server, Socket};
use sockeye_proto::websocket::deflate::{Deflater, Direction};
use sockeye_proto::websocket::frame::{self, OpCode};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::process;

/// Sixty-four bytes, more or less.
const TEXT: &str = "sixty-four bytes of text or so, as people write it to each other";

/// A broadcast to very many with one worker and with two: how long until the last byte is in the kernel's hands.
pub(crate) fn cores(clients: usize, rounds: usize) -> Result<()> {
    let clients = clients.min(descriptors()? / 2);
    let mut times = Vec::new();
    for workers in [1, 2] {
        let runtime = runtime(workers)?;
        let io = runtime.block_on(async { Server::builder().build() })?;
        let mut fleet = runtime.block_on(fleet(&io, "/", clients, ""))?;
        let sockets = io.of("/").sockets();
        let (mut wall, mut processor) = (Vec::new(), Duration::ZERO);
        for _ in 0..rounds {
            let before = process::own_processor()?;
            let started = Instant::now();
            let emitter = io.clone();
            runtime.block_on(runtime.spawn(async move { emitter.emit("news", TEXT) }))??;
            // What `emit` has left to other workers.
            for socket in &sockets {
                while socket.queued() > 0 {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
            wall.push(started.elapsed());
            processor += process::own_processor()? - before;
            for client in &mut fleet {
                expect_news(client, 1)?;
            }
        }
        let total: Duration = wall.iter().sum();
        wall.sort();
        let median = wall[wall.len() / 2];
        println!(
            "| a broadcast to {clients}, {workers} worker{} | {rounds} rounds | {:.1} ms (median), {:.2} processors busy |",
            if workers == 1 { "" } else { "s" },
            median.as_secs_f64() * 1e3,
            processor.as_secs_f64() / total.as_secs_f64(),
        );
        times.push(median);
    }
    println!(
        "| two workers against one | | {:.2} times as fast |",
        times[0].as_secs_f64() / times[1].as_secs_f64()
    );
    Ok(())
}

/// Two busy namespaces, each broadcasting to its own thousand without pause: alone, together, and as two servers that
/// have nothing in common but the machine.
pub(crate) fn namespaces(clients: usize, rounds: usize) -> Result<()> {
    descriptors()?;
    let mut each = [Vec::new(), Vec::new(), Vec::new()];
    let runtime = runtime(2)?;
    let build = || Server::builder().namespace("/a", |ns| ns).namespace("/b", |ns| ns).build();
    let (one, other) = runtime.block_on(async { Ok::<_, anyhow::Error>((build()?, build()?)) })?;
    let mut fleets = [
        runtime.block_on(fleet(&one, "/a", clients, ""))?,
        runtime.block_on(fleet(&one, "/b", clients, ""))?,
        runtime.block_on(fleet(&other, "/b", clients, ""))?,
    ];
    let cases: [&[(&Server, &str, usize)]; 3] =
        [&[(&one, "/a", 0)], &[(&one, "/a", 0), (&one, "/b", 1)], &[(&one, "/a", 0), (&other, "/b", 2)]];
    for _ in 0..rounds {
        for (case, times) in cases.iter().zip(&mut each) {
            let mut busy = JoinSet::new();
            for (io, name, _) in *case {
                let namespace = io.of(name);
                busy.spawn_on(
                    async move {
                        let started = Instant::now();
                        for _ in 0..BURST {
                            namespace.emit("news", TEXT).expect("an event");
                        }
                        started.elapsed()
                    },
                    runtime.handle(),
                );
            }
            times.extend(runtime.block_on(busy.join_all()));
            for (_, _, fleet) in *case {
                for client in &mut fleets[*fleet] {
                    expect_news(client, BURST)?;
                }
            }
        }
    }
    for (what, times) in
        ["one namespace alone", "two of one server", "two of two servers"].iter().zip(&mut each)
    {
        times.sort();
        let recipients = (BURST * clients) as f64;
        println!(
            "| {what}, each to {clients} | {rounds} rounds | {:.2} µs per recipient |",
            times[times.len() / 2].as_secs_f64() * 1e6 / recipients
        );
    }
    Ok(())
}

/// Broadcasts in a row: as many as a socket that nobody reads certainly takes.
const BURST: usize = 50;

/// Resident memory per idle connection that has sent and received a compressed message.
pub(crate) fn compressed(connections: usize) -> Result<()> {
    let connections = connections.min(descriptors()? / 2);
    let runtime = runtime(2)?;
    let io = runtime.block_on(async {
        Server::builder()
            .per_message_deflate(DeflateOptions::default())
            .on("echo", async |socket: Socket, Data(text): Data<String>| {
                drop(socket.emit("echo", text));
            })
            .build()
    })?;
    let deflate = "permessage-deflate; client_max_window_bits";
    let text = "salmon ".repeat(600);
    let mut event = Vec::new();
    let packet = format!(r#"42["echo","{text}"]"#);
    let mut short = Vec::new();
    Deflater::new(Direction::default(), 6).deflate(packet.as_bytes(), &mut short);
    frame::encode(OpCode::Text, true, &short, Some([1, 2, 3, 4]), &mut event);
    let mut all = Vec::with_capacity(connections);
    let base = process::own_resident()?;
    for _ in 0..connections {
        let mut client = runtime.block_on(fleet(&io, "/", 1, deflate))?.pop().context("a client")?;
        client.set_nonblocking(false)?;
        client.write_all(&event)?;
        let mut answer = [0; 4096];
        let count = client.read(&mut answer)?;
        ensure!(answer[0] == 0xC1 && count < 1024, "the answer is not compressed");
        all.push(client);
    }
    // The last of them go back to sleep.
    std::thread::sleep(Duration::from_secs(2));
    let grown = process::own_resident()?.saturating_sub(base);
    println!(
        "| memory per idle compressed connection, default mode | {connections} connections, each has echoed 4 KiB | {:.2} KiB |",
        grown as f64 / connections as f64 / 1024.0
    );
    Ok(())
}

fn runtime(workers: usize) -> Result<Arc<Runtime>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    Ok(Arc::new(runtime))
}

/// How many this process may have open, all but a few.
fn descriptors() -> Result<usize> {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits })?;
    Ok(limits.maximum.map_or(1 << 20, |most| usize::try_from(most).unwrap_or(1 << 20)).saturating_sub(100))
}

/// The clients' ends, joined to a namespace.
async fn fleet(io: &Server, namespace: &str, count: usize, extensions: &str) -> Result<Vec<UnixStream>> {
    let mut fleet = Vec::with_capacity(count);
    for _ in 0..count {
        let (mut ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        let (parts, ()) = http::Request::get("/socket.io/?EIO=4&transport=websocket")
            .header("host", "localhost")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
            .header("sec-websocket-extensions", extensions)
            .body(())?
            .into_parts();
        io.attach(tokio::net::UnixStream::from_std(theirs)?, parts, Bytes::new(), Peer::default()).await;
        // Head and open packet, then the answer to CONNECT.
        until(&mut ours, "pingInterval").await?;
        let mut connect = Vec::new();
        let packet = if namespace == "/" { "40".to_owned() } else { format!("40{namespace},") };
        frame::encode(OpCode::Text, false, packet.as_bytes(), Some([1, 2, 3, 4]), &mut connect);
        ours.write_all(&connect)?;
        until(&mut ours, "\"sid\"").await?;
        fleet.push(ours);
    }
    Ok(fleet)
}

/// Reads until what came holds `text`.
async fn until(stream: &mut UnixStream, text: &str) -> Result<()> {
    let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
    let patience = Instant::now() + Duration::from_secs(10);
    while !String::from_utf8_lossy(&seen).contains(text) {
        ensure!(Instant::now() < patience, "no {text} came");
        match stream.read(&mut chunk) {
            Ok(0) => anyhow::bail!("the server ended the connection"),
            Ok(count) => seen.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes in so many of the events that [`cores`] and [`namespaces`] send; the clock does not run.
fn expect_news(client: &mut UnixStream, count: usize) -> Result<()> {
    let mut buffer = [0; 16 * 1024];
    let (mut got, mut wanted) = (0, usize::MAX);
    let patience = Instant::now() + Duration::from_secs(10);
    while got < wanted {
        match client.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the server ended the connection"),
            Ok(read) => {
                // All frames are as long as the first: two bytes and what the second says.
                if wanted == usize::MAX {
                    wanted = count * (2 + usize::from(buffer[1]));
                }
                got += read;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(Instant::now() < patience, "{got} of {wanted} bytes came");
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(got == wanted, "more came than was sent");
    Ok(())
}
