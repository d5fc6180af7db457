//! Sessions that begin with a WebSocket.
#![allow(missing_docs)]

mod support;

use support::*;

#[tokio::test]
async fn echo() {
    let mut server = start().await;
    let mut ws = server.ws().await;
    let session = server.opened().await;
    assert!(session.is_open());
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    ws.send_binary(&[1, 2, 3]).await;
    assert_eq!(ws.binary().await, [1, 2, 3]);
    drop(ws);
    assert_eq!(server.closed().await, sockeye_engine::Reason::TransportClose);
    server.is_empty().await;
}
