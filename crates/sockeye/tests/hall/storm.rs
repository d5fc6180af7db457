//! Everything at once, on several threads: what must hold however things interleave (LIFE, ROOM, ORDER, AMO of the
//! guarantees).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Ack, ConnectionStateRecovery, Data, Reason, Refusal, Server, Socket};

use crate::support::{Client, is_empty, sid};

/// Reproducible chance.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Default)]
struct Ledger {
    /// Per socket object: connects, disconnects, handlers started after the disconnect.
    sockets: Mutex<HashMap<usize, (u32, u32, u32)>>,
}

impl Ledger {
    fn of(&self, socket: &Socket, change: impl FnOnce(&mut (u32, u32, u32))) {
        // The number is put into the socket's data when it connects, so that recovered ids do not mix.
        let key = *socket.data::<Key>().map(|key| Arc::new(key.0)).expect("a key");
        change(self.sockets.lock().unwrap().entry(key).or_default());
    }
}

struct Key(usize);

fn server(ledger: &Arc<Ledger>, recovery: bool) -> Server {
    let keys = Arc::new(AtomicU64::new(0));
    let (a, b, c) = (ledger.clone(), ledger.clone(), ledger.clone());
    let mut builder = Server::builder();
    if recovery {
        builder = builder
            .connection_state_recovery(ConnectionStateRecovery::new().window(Duration::from_millis(300)));
    }
    builder
        .handshake_rate(None)
        .middleware(async |socket: Socket| {
            for _ in 0..socket.id().as_bytes()[0] % 4 {
                tokio::task::yield_now().await;
            }
            match socket.id().as_bytes()[1] % 8 {
                0 => Err(Refusal::new("unlucky")),
                _ => Ok(()),
            }
        })
        .on_connect(move |socket: Socket| {
            socket.set_data(Key(keys.fetch_add(1, Ordering::SeqCst) as usize));
            a.of(&socket, |entry| entry.0 += 1);
            async move {
                socket
                    .join(["all", if socket.id().as_bytes()[2].is_multiple_of(2) { "even" } else { "odd" }]);
            }
        })
        .on_disconnect(move |socket: Socket, _: Reason| {
            b.of(&socket, |entry| entry.1 += 1);
            async {}
        })
        .on("echo", move |socket: Socket, Data(n): Data<u64>| {
            c.of(&socket, |entry| entry.2 += u32::from(entry.1 > 0));
            async move {
                if n % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                Ack(n)
            }
        })
        .dynamic_namespace("/d/{n}", |ns| ns.on("echo", async |Data(n): Data<u64>| Ack(n)))
        .build()
        .unwrap()
}

async fn visitor(server: Server, mut dice: Dice) {
    for _ in 0..6 {
        let mut client = Client::open(&server).await;
        client.say("0").await;
        if dice.roll(4) == 0 {
            client.say(&format!("0/d/{},", dice.roll(3))).await;
        }
        let mut last = None;
        for n in 0..dice.roll(30) {
            client.say(&format!(r#"2{n}["echo",{n}]"#)).await;
            if dice.roll(4) == 0 {
                let heard =
                    tokio::time::timeout(Duration::from_millis(50), client.hear()).await.unwrap_or_default();
                if let Some(number) = heard.strip_prefix(r#"2["tick","#) {
                    let number: u64 = number.split([',', ']']).next().unwrap().parse().unwrap();
                    assert!(last < Some(number), "{last:?} then {number}");
                    last = Some(number);
                }
                if heard == "closed" {
                    break;
                }
            }
        }
        match dice.roll(3) {
            0 => client.say("1").await,
            1 => drop(client),
            _ => tokio::time::sleep(Duration::from_millis(dice.roll(5))).await,
        }
    }
}

async fn storm(recovery: bool) {
    let ledger = Arc::new(Ledger::default());
    let server = server(&ledger, recovery);
    let mut visitors = Vec::new();
    for seed in 0..24 {
        visitors.push(tokio::spawn(visitor(server.clone(), Dice(seed * 7_919 + 1))));
    }
    let weather = server.clone();
    let weather = tokio::spawn(async move {
        let mut dice = Dice(99);
        for tick in 0_u64.. {
            weather.to("all").emit("tick", tick).unwrap();
            if dice.roll(3) == 0 {
                weather.to("even").except("odd").emit("noise", ()).unwrap();
            }
            let sockets = weather.of("/").sockets();
            if !sockets.is_empty() && dice.roll(2) == 0 {
                let socket = &sockets[dice.roll(sockets.len() as u64) as usize];
                match dice.roll(6) {
                    0 => drop(socket.disconnect()),
                    1 => socket.close(),
                    2 => socket.leave("all"),
                    3 => socket.join("extra"),
                    4 => drop(socket.call::<()>("never answered", 1)),
                    _ => drop(
                        weather
                            .to("extra")
                            .timeout(Duration::from_millis(1))
                            .call::<()>("all of you", 1)
                            .await,
                    ),
                }
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    for visitor in visitors {
        visitor.await.unwrap();
    }
    weather.abort();
    let _ = weather.await;
    is_empty(&server).await;
    {
        let sockets = ledger.sockets.lock().unwrap();
        assert!(sockets.len() > 20, "{}", sockets.len());
        for entry in sockets.values() {
            assert_eq!(*entry, (1, 1, 0), "one connect, one disconnect, nothing after it");
        }
        assert!(server.stats().connected >= sockets.len() as u64);
    }
    for namespace in server.namespaces() {
        assert!(namespace.is_empty() && namespace.rooms().is_empty());
    }
    assert_eq!(server.stats().namespaces, 1);
    tokio::time::sleep(Duration::from_millis(if recovery { 400 } else { 0 })).await;
    assert_eq!(server.stats().recovery_sessions, 0);
    assert_eq!(server.stats().panics, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_a_storm() {
    tokio::time::timeout(Duration::from_secs(60), storm(false)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_a_storm_with_recovery() {
    tokio::time::timeout(Duration::from_secs(60), storm(true)).await.unwrap();
}

/// RECOVER: clients are cut at random moments and come back; each hears every number once and in order, or is told
/// that it is a new socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_recovered_has_heard_everything() {
    let server = Server::builder()
        .handshake_rate(None)
        .connection_state_recovery(ConnectionStateRecovery::new())
        .build()
        .unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let mut visitors = Vec::new();
    for seed in 1..=12_u64 {
        let (server, done) = (server.clone(), done.clone());
        visitors.push(tokio::spawn(async move {
            let mut dice = Dice(seed * 104_729);
            let (mut pid, mut offset, mut id): (Option<String>, Option<String>, String) =
                (None, None, String::new());
            let mut last: Option<u64> = None;
            for _ in 0..8 {
                let mut client = Client::open(&server).await;
                let auth = match (&pid, &offset) {
                    (Some(pid), Some(offset)) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
                    (Some(pid), None) => format!(r#"{{"pid":"{pid}"}}"#),
                    _ => String::new(),
                };
                client.say(&format!("0{auth}")).await;
                // Before the answer come the missed ones, which a client holds back until it knows who it is.
                let mut held = Vec::new();
                let answer = loop {
                    let heard = client.hear().await;
                    if heard.starts_with('0') {
                        break heard;
                    }
                    held.push(heard);
                };
                if sid(&answer) != id {
                    assert!(held.is_empty());
                    (id, last) = (sid(&answer), None);
                } else {
                    done.fetch_add(1, Ordering::SeqCst);
                }
                pid = Some(crate::support::field(&answer, "pid"));
                let take = |event: String, last: &mut Option<u64>, offset: &mut Option<String>| {
                    let array: (String, u64, String) = serde_json::from_str(&event[1..]).unwrap();
                    if let Some(last) = *last {
                        assert_eq!(array.1, last + 1, "none missing, none twice");
                    }
                    *last = Some(array.1);
                    *offset = Some(array.2);
                };
                for event in held {
                    take(event, &mut last, &mut offset);
                }
                for _ in 0..dice.roll(20) {
                    match tokio::time::timeout(Duration::from_millis(20), client.hear()).await {
                        Ok(event) if event != "closed" => take(event, &mut last, &mut offset),
                        _ => break,
                    }
                }
                drop(client);
                tokio::time::sleep(Duration::from_millis(dice.roll(4))).await;
            }
        }));
    }
    // Two threads of emitters would not have one order to check; one emitter and many readers do.
    let weather = server.clone();
    let weather = tokio::spawn(async move {
        for tick in 0_u64.. {
            weather.emit("tick", tick).unwrap();
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    });
    for visitor in visitors {
        visitor.await.unwrap();
    }
    weather.abort();
    assert!(done.load(Ordering::SeqCst) > 20, "{}", done.load(Ordering::SeqCst));
}
