//! Measures a contract server (`bench/contract`, or anything that keeps the same contract) from outside; and a few
//! things that can only be seen from inside, on a server in this process ([`inside`]).
//!
//! `cargo run --release -p measure -- all` prints one Markdown table row per figure. Each figure starts a server of
//! its own, so that none inherits another's memory.

mod client;
mod inside;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use client::Client;
use process::Server;
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures a Socket.IO server from outside: memory, processor time, order, loss")]
struct Cli {
    #[command(subcommand)]
    figure: Figure,
    /// Server to measure; it is started with a port as its only argument
    #[arg(long, global = true, value_name = "BINARY")]
    server: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Figure {
    /// Resident memory of the server per idle WebSocket connection
    Memory {
        #[arg(long, default_value_t = 5000)]
        connections: usize,
        /// Send the request headers that a browser sends
        #[arg(long)]
        browser: bool,
        /// Begin with long-polling and upgrade, as browsers do
        #[arg(long)]
        upgrade: bool,
    },
    /// Resident memory a minute after a broadcast of 60 KB to everybody, against before
    Return {
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
    /// A broadcast to very many: one worker against two (a server in this process)
    Cores {
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
        #[arg(long, default_value_t = 40)]
        rounds: usize,
    },
    /// Two busy namespaces on two workers: do they slow each other (a server in this process)
    Namespaces {
        #[arg(long, default_value_t = 1000)]
        clients: usize,
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
    /// Resident memory per idle connection with permessage-deflate (a server in this process)
    Compressed {
        #[arg(long, default_value_t = 5000)]
        connections: usize,
    },
    /// Processor time of the server per recipient of a broadcast
    Broadcast {
        #[arg(long, default_value_t = 2000)]
        clients: usize,
        #[arg(long, default_value_t = 1024)]
        bytes: usize,
        #[arg(long, default_value_t = 500)]
        rounds: usize,
    },
    /// A burst of broadcasts to healthy clients: what is lost, what is out of order
    Burst {
        #[arg(long, default_value_t = 1000)]
        clients: usize,
        #[arg(long, default_value_t = 400)]
        broadcasts: usize,
    },
    /// Events sent with one write: do their acks come back in order
    Pipeline {
        #[arg(long, default_value_t = 100)]
        events: usize,
        #[arg(long, default_value_t = 100)]
        rounds: usize,
    },
    /// All of the above with their defaults
    All,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.figure {
        Figure::Cores { clients, rounds } => return inside::cores(clients, rounds),
        Figure::Namespaces { clients, rounds } => return inside::namespaces(clients, rounds),
        Figure::Compressed { connections } => return inside::compressed(connections),
        _ => {}
    }
    let binary = match cli.server {
        Some(binary) => binary,
        None => std::env::current_exe()?.with_file_name("contract"),
    };
    ensure!(
        binary.exists(),
        "{} is missing; build it with `cargo build --release -p contract`",
        binary.display()
    );
    let start = || Server::start(&binary);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.figure {
            Figure::Memory { connections, browser, upgrade } => {
                memory(start()?, connections, How { browser, upgrade }).await
            }
            Figure::Return { connections } => comes_back(start()?, connections).await,
            Figure::Broadcast { clients, bytes, rounds } => broadcast(start()?, clients, bytes, rounds).await,
            Figure::Burst { clients, broadcasts } => burst(start()?, clients, broadcasts).await,
            Figure::Pipeline { events, rounds } => pipeline(start()?, events, rounds).await,
            Figure::All => {
                for (browser, upgrade) in [(false, false), (false, true), (true, false)] {
                    memory(start()?, 5000, How { browser, upgrade }).await?;
                }
                comes_back(start()?, 8000).await?;
                broadcast(start()?, 2000, 1024, 500).await?;
                burst(start()?, 1000, 400).await?;
                pipeline(start()?, 100, 100).await
            }
            Figure::Cores { .. } | Figure::Namespaces { .. } | Figure::Compressed { .. } => Ok(()),
        }
    })
}

const BROWSER_HEADERS: &str = "Origin: http://example.org\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// How clients come.
#[derive(Clone, Copy, Default)]
struct How {
    /// With the request headers of a browser.
    browser: bool,
    /// By long-polling and an upgrade.
    upgrade: bool,
}

async fn memory(server: Server, connections: usize, how: How) -> Result<()> {
    // From a server that has just started: what it makes once, for the first connection, is counted too.
    let base = server.resident()?;
    let clients = connect(&server, connections, how).await?;
    settle(&server).await?;
    let grown = server.resident()?.saturating_sub(base);
    println!(
        "| memory per idle WebSocket connection{}{} | {connections} connections | {:.2} KiB |",
        if how.browser { ", browser's headers" } else { "" },
        if how.upgrade { ", after an upgrade from polling" } else { "" },
        grown as f64 / connections as f64 / 1024.0
    );
    drop(clients);
    Ok(())
}

/// Does a large broadcast leave anything behind?
async fn comes_back(server: Server, connections: usize) -> Result<()> {
    let fresh = server.resident()?;
    let mut clients = connect(&server, connections, How::default()).await?;
    settle(&server).await?;
    let before = server.resident()?;
    let payload = "x".repeat(60_000);
    clients[0].send(&format!(r#"42["publish","{payload}"]"#)).await?;
    let mut hearing = tokio::task::JoinSet::new();
    for mut client in clients {
        hearing.spawn(async move {
            let heard = client.text().await?;
            ensure!(heard.len() > 60_000, "another event");
            client.rest();
            Ok(client)
        });
    }
    let clients = hearing.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let during = server.resident()?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = server.resident()?;
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    println!(
        "| memory a minute after 60 KB to all | {connections} connections | {:.1} to {:.1} MiB, {:+.1} % (right after {:.1}, \
         fresh {:.1}) |",
        mib(before),
        mib(after),
        (after as f64 / before as f64 - 1.0) * 100.0,
        mib(during),
        mib(fresh),
    );
    drop(clients);
    Ok(())
}

async fn broadcast(server: Server, clients: usize, bytes: usize, rounds: usize) -> Result<()> {
    let mut fleet = connect(&server, clients, How::default()).await?;
    let mut publisher = fleet.pop().context("no client")?;
    let received = Arc::new(AtomicUsize::new(0));
    let arrivals = Arc::new(Semaphore::new(0));
    for mut client in fleet {
        let (received, arrivals) = (received.clone(), arrivals.clone());
        tokio::spawn(async move {
            while let Ok(packet) = client.text().await {
                assert!(packet.starts_with(br#"42["news","#));
                received.fetch_add(1, Ordering::Relaxed);
                arrivals.add_permits(1);
            }
        });
    }
    let payload = "x".repeat(bytes);
    let others = u32::try_from(clients - 1)?;
    let mut round = async || -> Result<()> {
        publisher.send(&format!(r#"42["publish","{payload}"]"#)).await?;
        publisher.text().await?;
        arrivals.acquire_many(others).await?.forget();
        Ok(())
    };
    for _ in 0..20 {
        round().await?;
    }
    let (user, system) = server.processor()?;
    let started = Instant::now();
    for _ in 0..rounds {
        round().await?;
    }
    let elapsed = started.elapsed();
    let (user_after, system_after) = server.processor()?;
    let recipients = (clients * rounds) as f64;
    println!(
        "| user CPU per recipient of a {bytes} B broadcast | {clients} clients, {rounds} rounds | {:.2} µs \
         (kernel {:.2} µs; {:.0} deliveries/s) |",
        (user_after - user).as_secs_f64() * 1e6 / recipients,
        (system_after - system).as_secs_f64() * 1e6 / recipients,
        recipients / elapsed.as_secs_f64(),
    );
    Ok(())
}

async fn burst(server: Server, clients: usize, broadcasts: usize) -> Result<()> {
    let mut fleet = connect(&server, clients, How::default()).await?;
    let mut publisher = fleet.pop().context("no client")?;
    let lost = Arc::new(AtomicUsize::new(0));
    let misplaced = Arc::new(AtomicUsize::new(0));
    let mut listeners = tokio::task::JoinSet::new();
    for mut client in fleet {
        let (lost, misplaced) = (lost.clone(), misplaced.clone());
        listeners.spawn(async move {
            for expected in 0..broadcasts {
                match tokio::time::timeout(Duration::from_secs(20), client.text()).await {
                    Ok(Ok(packet)) if packet == format!(r#"42["news","{expected}"]"#).as_bytes() => {}
                    Ok(Ok(_)) => drop(misplaced.fetch_add(1, Ordering::Relaxed)),
                    _ => {
                        lost.fetch_add(broadcasts - expected, Ordering::Relaxed);
                        return;
                    }
                }
            }
        });
    }
    publisher.send_all((0..broadcasts).map(|number| format!(r#"42["publish","{number}"]"#))).await?;
    for _ in 0..broadcasts {
        publisher.text().await?;
    }
    listeners.join_all().await;
    let (lost, misplaced) = (lost.load(Ordering::Relaxed), misplaced.load(Ordering::Relaxed));
    println!(
        "| burst of {broadcasts} broadcasts | {clients} clients | {lost} lost, {misplaced} out of order of {} |",
        broadcasts * clients
    );
    ensure!(lost == 0 && misplaced == 0, "a burst must lose nothing and keep order");
    Ok(())
}

async fn pipeline(server: Server, events: usize, rounds: usize) -> Result<()> {
    let mut client = connect(&server, 1, How::default()).await?.pop().context("no client")?;
    let mut misplaced = 0;
    for round in 0..rounds {
        let id = |event: usize| round * events + event;
        client.send_all((0..events).map(|event| format!(r#"42{}["echo","{event}"]"#, id(event)))).await?;
        for event in 0..events {
            let expected = format!(r#"43{}["{event}"]"#, id(event));
            misplaced += usize::from(client.text().await? != expected.as_bytes());
        }
    }
    println!("| {events} pipelined events | {rounds} rounds | {misplaced} acks out of order |");
    ensure!(misplaced == 0, "acks must come in order");
    Ok(())
}

async fn connect(server: &Server, count: usize, how: How) -> Result<Vec<Client>> {
    let headers = if how.browser { BROWSER_HEADERS } else { "" };
    let at_a_time = Arc::new(Semaphore::new(128));
    let mut joining = tokio::task::JoinSet::new();
    let address = server.address;
    for index in 0..count {
        let at_a_time = at_a_time.clone();
        joining.spawn(async move {
            let _permit = at_a_time.acquire_owned().await?;
            if how.upgrade {
                Client::connect_upgrading(address, index, headers).await
            } else {
                Client::connect(address, index, headers).await
            }
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(client) = joining.join_next().await {
        clients.push(client??);
    }
    Ok(clients)
}

/// Waits until the server's memory has stood still for a second.
async fn settle(server: &Server) -> Result<()> {
    let mut before = server.resident()?;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.resident()?;
        if now.abs_diff(before) < 64 * 1024 {
            return Ok(());
        }
        before = now;
    }
}
