//! A bare WebSocket echo server: `sockeye_proto::websocket` between a TCP socket and itself.
//!
//! No Engine.IO, no HTTP library: it exists to be judged (`cargo xtask autobahn`) and to show how the framing is
//! driven. It has no deadlines and so is not for the open Internet.
//!
//! ```text
//! websocket-echo [ADDRESS]      default 127.0.0.1:9001; prints its URL
//! ```

use std::io;
use std::time::Duration;

use sockeye_proto::websocket::deflate::{self, Deflater};
use sockeye_proto::websocket::frame::{self, Control};
use sockeye_proto::websocket::{CloseHandshake, Event, OpCode, Reader, ReaderConfig, Role, handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address).await?;
    println!("ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A peer that goes away is no news.
            let _ = serve(stream).await;
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let options = deflate::Options {
        // Judged with everything a peer may ask for, so nothing is asked for by us.
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        threshold: 0,
        ..deflate::Options::default()
    };
    let Some((deflate, early)) = upgrade(&mut stream, &options).await? else { return Ok(()) };
    let config = ReaderConfig { max_message: 64 << 20, deflate, ..ReaderConfig::default() };
    let mut reader = Reader::new(Role::Server, config);
    let mut deflater = deflate.map(|params| Deflater::new(params.outgoing(Role::Server), options.level));
    let mut close = CloseHandshake::Open;

    let mut input = early;
    let mut output = Vec::new();
    loop {
        let mut at = 0;
        while at < input.len() {
            match reader.read(&mut input[at..]) {
                Ok((taken, event)) => {
                    at += taken;
                    if let Some(event) = event {
                        answer(event, &mut deflater, &mut close, &mut output);
                    }
                }
                Err(violation) => {
                    at = input.len();
                    let goodbye = close.start(Some(violation.close_code()), "", None);
                    output.extend(goodbye.iter().flat_map(Control::as_slice));
                }
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
            output.shrink_to(64 << 10);
        }
        if !close.may_send() {
            return hang_up(stream).await;
        }
        input.resize(64 << 10, 0);
        let read = stream.read(&mut input).await?;
        if read == 0 {
            return Ok(());
        }
        input.truncate(read);
    }
}

fn answer(
    event: Event<'_>,
    deflater: &mut Option<Deflater>,
    close: &mut CloseHandshake,
    output: &mut Vec<u8>,
) {
    let (opcode, payload) = match &event {
        Event::Text(text) => (OpCode::Text, text.as_bytes()),
        Event::Binary(bytes) => (OpCode::Binary, &**bytes),
        Event::Ping(payload) => return output.extend_from_slice(Control::pong(payload, None).as_slice()),
        Event::Pong(_) => return,
        Event::Close(frame) => {
            let goodbye = close.received(frame.as_ref(), None);
            return output.extend(goodbye.iter().flat_map(Control::as_slice));
        }
    };
    match deflater {
        Some(deflater) => output.extend_from_slice(&deflater.frame(opcode, payload)),
        None => frame::encode(opcode, false, payload, None, output),
    }
}

/// The server ends TCP first, but gently: closing a socket with unread bytes in it would reset the connection and
/// take our close frame with it.
async fn hang_up(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let drain = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    Ok(())
}

/// Answers the HTTP request. `None`: refused. Otherwise what was agreed, and the bytes after the request.
async fn upgrade(
    stream: &mut TcpStream,
    options: &deflate::Options,
) -> io::Result<Option<(Option<deflate::Params>, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > 16 << 10 {
            return Ok(None);
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let rest = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, version) = (request.next().unwrap_or_default(), request.next_back().unwrap_or_default());
    let http = if version == "HTTP/1.1" { (1, 1) } else { (1, 0) };
    let headers =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim().as_bytes()));

    let (response, agreed) = match handshake::check_request(method, http, headers) {
        Ok(accept) => {
            let mut response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n",
                accept.accept()
            );
            let deflate = accept.deflate(options);
            if let Some((_, value)) = &deflate {
                response.push_str(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
            }
            (response + "\r\n", Some(deflate.map(|(params, _)| params)))
        }
        Err(refusal) => {
            let extra =
                refusal.header().map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
            let (status, text) = (refusal.status(), refusal.text());
            let length = text.len();
            let response = format!(
                "HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n{text}"
            );
            (response, None)
        }
    };
    stream.write_all(response.as_bytes()).await?;
    Ok(agreed.map(|deflate| (deflate, rest)))
}
