//! What a tap sees, and the move to WebSocket on demand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Server, ServerBuilder};
use sockeye_client::{Client, Notice, Traffic, Transport, Transports};
use tokio::net::TcpListener;
use tokio::time::timeout;

async fn serve(server: ServerBuilder) -> String {
    let io = server.on("double", |data: sockeye::Data<u32>| async move { data.0 * 2 }).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { io.serve(listener).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_tap_sees_what_crosses_and_polling_moves_when_told() {
    let url = serve(Server::builder()).await;
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let tap = Arc::clone(&seen);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let socket = Client::builder(&url)
        .transports(Transports::Polling)
        .tap(move |traffic| {
            let line = match traffic {
                Traffic::Poll => "poll".to_owned(),
                Traffic::Polled { body, .. } => format!("polled {}", text(body)),
                Traffic::Post { body, .. } => format!("post {}", text(body)),
                Traffic::Text { sent, text } => format!("{} {text}", if sent { ">" } else { "<" }),
                other => format!("{other:?}"),
            };
            tap.lock().unwrap().push(line);
        })
        .connect()
        .await
        .unwrap();
    let client = socket.client();
    assert_eq!(socket.call::<u32>("double", 4).await.unwrap(), 8);
    let mut notices = client.notices();
    assert!(client.upgrade());
    assert!(!client.upgrade(), "one try at a time");
    let upgraded = async { while !matches!(notices.next().await, Some(Notice::Upgraded)) {} };
    timeout(Duration::from_secs(5), upgraded).await.unwrap();
    assert_eq!(client.transport(), Some(Transport::WebSocket));
    assert!(!client.upgrade(), "it has moved already");
    assert_eq!(socket.call::<u32>("double", 5).await.unwrap(), 10);
    let seen = seen.lock().unwrap();
    let at = |wanted: &str| {
        seen.iter().position(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("{wanted}: {seen:?}"))
    };
    let order = [
        "poll",
        "polled 0{",
        "post 40",
        "post 420[\"double\",4]",
        "Dial",
        "Opened",
        "> 2probe",
        "< 3probe",
        "> 5",
    ];
    assert!(order.windows(2).all(|two| at(two[0]) < at(two[1])), "{seen:?}");
    assert!(at("> 5") < at("> 421[\"double\",5]") && at("> 421") < at("< 431[10]"), "{seen:?}");
}

#[tokio::test]
async fn a_move_that_is_not_possible_leaves_polling_alone() {
    let url = serve(Server::builder().transports([sockeye::Transport::Polling])).await;
    let socket = Client::builder(&url).transports(Transports::Polling).connect().await.unwrap();
    let client = socket.client();
    let mut notices = client.notices();
    assert!(client.upgrade());
    let failed = async { while !matches!(notices.next().await, Some(Notice::UpgradeFailed(_))) {} };
    timeout(Duration::from_secs(5), failed).await.unwrap();
    assert_eq!(socket.call::<u32>("double", 4).await.unwrap(), 8);
}
