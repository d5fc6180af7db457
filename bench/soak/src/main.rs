//! Many Rust clients at one Sockeye server, in one process, whose connections are cut at random.
//!
//! Up: each client counts, with `retries`; the server checks that no number is missing and that doubles come only right
//! behind themselves. Down: the server counts to each client; a client that was recovered checks that nothing is
//! missing. At the end every number has to be acknowledged, and (in nine minutes or more) the
//! memory must not have grown after the first third.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sockeye::{Args as Two, ConnectionStateRecovery, Data, Server, Socket as Peer};
use sockeye_client::{Client, Reconnection, Socket, Transports};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clients whose connections break, and a check that nothing is lost.
#[derive(Parser)]
struct Options {
    /// How many clients.
    #[arg(long, default_value_t = 1000)]
    clients: u32,
    /// For how long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Between two events of a client, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    every: u64,
    /// How long a connection holds on average, in seconds.
    #[arg(long, default_value_t = 10)]
    hold: u64,
}

/// Two minutes that are kept, and one until what is older goes.
const FILLING: u64 = 180;

/// What went by, and what went wrong.
#[derive(Default)]
struct Tally {
    acknowledged: AtomicU64,
    doubled: AtomicU64,
    pushed: AtomicU64,
    cuts: AtomicU64,
    recovered: AtomicU64,
    fresh: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }

    fn line(&self, since: Instant) -> String {
        format!(
            "{:4} s  {} acknowledged, {} doubled, {} pushed, {} cuts, {} recovered, {} fresh, {:.1} MiB",
            since.elapsed().as_secs(),
            self.acknowledged.load(Relaxed),
            self.doubled.load(Relaxed),
            self.pushed.load(Relaxed),
            self.cuts.load(Relaxed),
            self.recovered.load(Relaxed),
            self.fresh.load(Relaxed),
            memory(),
        )
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let tally = Arc::new(Tally::default());
    let url = serve(&tally).await?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(options.seconds);
    let mut clients = Vec::new();
    for number in 0..options.clients {
        clients.push(tokio::spawn(client(
            number,
            url.clone(),
            end,
            Arc::clone(&tally),
            options.every,
            options.hold,
        )));
        // Not all of them in step.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let third = begin + Duration::from_secs(options.seconds) / 3;
    let mut early = 0.0_f64;
    let mut tick = tokio::time::interval(Duration::from_secs(10));
    while Instant::now() < end {
        tick.tick().await;
        println!("{}", tally.line(begin));
        if Instant::now() < third {
            early = early.max(memory());
        }
    }
    let late = memory();
    for (number, client) in clients.into_iter().enumerate() {
        let over = tokio::time::timeout(Duration::from_secs(120), client).await;
        over.with_context(|| format!("client {number} does not come to its end"))???;
    }
    println!("{}", tally.line(begin));
    let wrong = tally.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("nothing lost; memory {early:.1} MiB in the first third, {late:.1} MiB at the end");
    // The server's log of what could be recovered fills for its first three minutes: before that, growth says nothing.
    if options.seconds >= 3 * FILLING {
        ensure!(late < early * 1.1 + 8.0, "memory grew from {early:.1} MiB to {late:.1} MiB");
    } else {
        println!("memory is not judged in less than {} s", 3 * FILLING);
    }
    Ok(())
}

async fn serve(tally: &Arc<Tally>) -> Result<String> {
    // The last number of each client.
    let counts = Arc::new(Mutex::new(HashMap::<u32, u64>::new()));
    let tally = Arc::clone(tally);
    let io = Server::builder()
        .connection_state_recovery(ConnectionStateRecovery::default())
        .on("count", move |Two((client, n)): Two<(u32, u64)>| {
            let last = counts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(client, n)
                .map_or(0, |last| last + 1);
            if n + 1 == last {
                tally.doubled.fetch_add(1, Relaxed);
            } else if n != last {
                tally.wrong(format!("client {client} says {n} where {last} was next"));
            }
            async move { n }
        })
        .on("push", |peer: Peer, Data(n): Data<u64>| async move {
            peer.emit("pushed", n).ok();
        })
        .build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { io.serve(listener).await });
    Ok(url)
}

async fn client(
    number: u32,
    url: String,
    end: Instant,
    tally: Arc<Tally>,
    every: u64,
    hold: u64,
) -> Result<()> {
    let transports = match number % 4 {
        0 => Transports::Polling,
        1 => Transports::Upgrade,
        _ => Transports::WebSocket,
    };
    let quick = Reconnection {
        min: Duration::from_millis(50),
        max: Duration::from_millis(500),
        ..Reconnection::default()
    };
    let (heard, connected) = (Arc::clone(&tally), Arc::clone(&tally));
    // What the server was asked to say, and has said: a fresh session begins anew.
    let last = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&last);
    let socket = Client::builder(url)
        .transports(transports)
        .reconnection(quick)
        .retries(u32::MAX)
        .on("pushed", move |Data(n): Data<u64>| {
            let before = seen.swap(n, Relaxed);
            // It asks again when an answer got lost, and so may hear a number twice; never an older one.
            if n < before {
                heard.wrong(format!("client {number} hears {n} after {before}"));
            }
            heard.pushed.fetch_add(1, Relaxed);
            async {}
        })
        .on_connect(move |socket: Socket| {
            let tally = if socket.recovered() { &connected.recovered } else { &connected.fresh };
            tally.fetch_add(1, Relaxed);
            async {}
        })
        .connect()
        .await?;
    let mut n = 0;
    let mut cut_at = Instant::now() + random(hold * 2000);
    while Instant::now() < end {
        let said: u64 = socket.call("count", Two((number, n))).timeout(Duration::from_secs(110)).await?;
        ensure!(said == n, "client {number} is answered {said} for {n}");
        tally.acknowledged.fetch_add(1, Relaxed);
        socket.emit("push", n)?;
        n += 1;
        if Instant::now() >= cut_at {
            tally.cuts.fetch_add(1, Relaxed);
            socket.client().cut();
            cut_at = Instant::now() + random(hold * 2000);
        }
        tokio::time::sleep(random(every * 2)).await;
    }
    socket.client().close().await;
    Ok(())
}

/// Up to so many milliseconds.
fn random(millis: u64) -> Duration {
    Duration::from_millis(getrandom::u64().unwrap_or(0) % millis.max(1))
}

/// Of this process, in MiB; 0 where the system does not say.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
