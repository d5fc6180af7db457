//! The client without async.

use std::sync::mpsc;
use std::time::Duration;

use sockeye::{Data as Heard, Reason, Server, Socket as Peer};
use sockeye_client::{CallError, Client, ConnectError, Data, blocking};

/// Our server on a thread of its own, and why its clients left.
fn serve() -> (String, mpsc::Receiver<String>) {
    let (told, url) = mpsc::channel();
    let (said, left) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let io = Server::builder()
                .on("double", |Heard(n): Heard<u32>| async move { n * 2 })
                .on("count", |peer: Peer, Heard(n): Heard<u32>| async move {
                    (0..n).for_each(|n| peer.emit("n", n).unwrap());
                })
                .on("ask", |peer: Peer| async move { peer.call::<u32>("question", 20).await.unwrap() })
                .on("never", |_: sockeye::AckSender| std::future::pending::<()>())
                .on_disconnect(move |reason: Reason| {
                    let said = said.clone();
                    async move { said.send(reason.to_string()).unwrap() }
                })
                .namespace("/other", |namespace| namespace)
                .build()
                .unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            io.serve(listener).await;
        });
    });
    (url.recv().unwrap(), left)
}

#[test]
fn a_program_without_async_speaks_and_hears() {
    let (url, left) = serve();
    let socket = Client::builder(&url)
        .on("question", |Data(n): Data<u32>| async move { n + 1 })
        .connect_blocking()
        .unwrap();
    assert_eq!(socket.call::<u32>("double", 21), Ok(42));
    assert_eq!(socket.call::<u32>("ask", ()), Ok(21));
    let late = socket.call_within::<()>(Duration::from_millis(20), "never", ());
    assert_eq!(late, Err(CallError::TimedOut));
    let mut received = socket.received();
    socket.emit("count", 3).unwrap();
    for n in 0..3 {
        let event = received.next().unwrap().unwrap();
        assert_eq!(event.payload.event_arguments().arg::<u32>(), Ok(n));
    }
    let other = socket.namespace("/other").unwrap();
    other.close();
    assert!(received.next().is_none(), "the iterator ends with the client");
    assert_eq!(left.recv().unwrap(), "client namespace disconnect");
}

#[test]
fn dropping_it_says_goodbye() {
    let (url, left) = serve();
    drop(blocking::connect(&url).unwrap());
    assert_eq!(left.recv_timeout(Duration::from_secs(10)).unwrap(), "client namespace disconnect");
    let error = blocking::connect("http://127.0.0.1:9").unwrap_err();
    assert!(matches!(error, ConnectError::Failed(_)));
}

#[tokio::test]
async fn it_does_not_panic_where_it_should_not_be() {
    let (url, left) = serve();
    let socket = blocking::connect(&url).unwrap();
    assert_eq!(socket.call::<u32>("double", 1), Ok(2));
    drop(socket);
    assert_eq!(left.recv_timeout(Duration::from_secs(10)).unwrap(), "client namespace disconnect");
}
