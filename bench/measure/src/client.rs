//! A raw Socket.IO client over WebSocket: just enough bytes to load a server, none of our own codecs, so that a
//! mistake in them cannot hide itself.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// One connection that joined `/`.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    parsed: usize,
}

impl Client {
    /// Connects from 127.0.0.`2 + index % 60`, so that ephemeral ports suffice for many thousand clients.
    pub(crate) async fn connect(server: SocketAddr, index: usize, extra_headers: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(2 + index % 60)?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let stream = socket.connect(server).await.context("connect")?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, unread: Vec::new(), parsed: 0 };
        client.upgrade(server, "", extra_headers).await?;
        let open = client.text().await?;
        ensure!(open.starts_with(b"0{"), "no open packet: {}", String::from_utf8_lossy(&open));
        client.send("40").await?;
        let joined = client.text().await?;
        ensure!(joined.starts_with(b"40{"), "not joined: {}", String::from_utf8_lossy(&joined));
        client.unread.shrink_to_fit();
        Ok(client)
    }

    /// The same by long-polling first, and then an upgrade, as browsers do.
    pub(crate) async fn connect_upgrading(
        server: SocketAddr,
        index: usize,
        extra_headers: &str,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(2 + index % 60)?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let mut polling = socket.connect(server).await.context("connect")?;
        let head =
            format!("/socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: {server}\r\n{extra_headers}");
        let open = exchange(&mut polling, &format!("GET {head}\r\n")).await?;
        let sid =
            open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).context("no sid")?;
        let head = head.replace("polling HTTP", &format!("polling&sid={sid} HTTP"));
        exchange(&mut polling, &format!("POST {head}Content-Length: 2\r\n\r\n40")).await?;
        let joined = exchange(&mut polling, &format!("GET {head}\r\n")).await?;
        ensure!(joined.contains("40{"), "not joined: {joined}");

        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let stream = socket.connect(server).await.context("connect")?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, unread: Vec::new(), parsed: 0 };
        client.upgrade(server, &format!("&sid={sid}"), extra_headers).await?;
        client.send("2probe").await?;
        let probed = client.text().await?;
        ensure!(probed == b"3probe", "not probed: {}", String::from_utf8_lossy(&probed));
        client.send("5").await?;
        client.unread.shrink_to_fit();
        Ok(client)
    }

    async fn upgrade(&mut self, server: SocketAddr, query: &str, extra_headers: &str) -> Result<()> {
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {extra_headers}\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.skip_head().await
    }

    /// Gives the memory of what it has heard back.
    pub(crate) fn rest(&mut self) {
        self.unread.shrink_to_fit();
    }

    /// Sends one text frame.
    pub(crate) async fn send(&mut self, packet: &str) -> Result<()> {
        let frame = frame(packet);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Sends many text frames with one write.
    pub(crate) async fn send_all(&mut self, packets: impl Iterator<Item = String>) -> Result<()> {
        let frames: Vec<u8> = packets.flat_map(|packet| frame(&packet)).collect();
        Ok(self.stream.write_all(&frames).await?)
    }

    /// The next Socket.IO text; answers heartbeats on the way.
    pub(crate) async fn text(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(payload) = self.take_frame()? {
                if payload == b"2" {
                    self.send("3").await?;
                    continue;
                }
                return Ok(payload);
            }
            self.fill().await?;
        }
    }

    fn take_frame(&mut self) -> Result<Option<Vec<u8>>> {
        let bytes = &self.unread[self.parsed..];
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (head, length) = match second {
            126 if bytes.len() >= 4 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            127 if bytes.len() >= 10 => (10, usize::try_from(u64::from_be_bytes(bytes[2..10].try_into()?))?),
            126 | 127 => return Ok(None),
            length => (2, usize::from(length)),
        };
        if bytes.len() < head + length {
            return Ok(None);
        }
        if first == 0x88 {
            bail!("the server closed: {:?}", &bytes[head..head + length]);
        }
        ensure!(first == 0x81, "unexpected frame {first:#x}");
        let payload = bytes[head..head + length].to_vec();
        self.parsed += head + length;
        if self.parsed == self.unread.len() {
            self.unread.clear();
            self.parsed = 0;
        }
        Ok(Some(payload))
    }

    async fn fill(&mut self) -> Result<()> {
        self.unread.drain(..self.parsed);
        self.parsed = 0;
        let mut chunk = [0; 16 * 1024];
        let read = self.stream.read(&mut chunk).await?;
        ensure!(read > 0, "the server ended the connection");
        self.unread.extend_from_slice(&chunk[..read]);
        Ok(())
    }

    async fn skip_head(&mut self) -> Result<()> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                ensure!(
                    self.unread.starts_with(b"HTTP/1.1 101"),
                    "refused: {}",
                    String::from_utf8_lossy(&self.unread[..end])
                );
                self.unread.drain(..end + 4);
                return Ok(());
            }
            self.fill().await?;
        }
    }
}

/// One request over a connection that is kept, and the body of its answer.
async fn exchange(stream: &mut TcpStream, request: &str) -> Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            ensure!(head.starts_with("HTTP/1.1 200"), "refused: {head}");
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.context("no length")?.parse()?;
            if body.len() >= length {
                return Ok(body.to_owned());
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        ensure!(read > 0, "the server ended the connection");
        answer.extend_from_slice(&chunk[..read]);
    }
}

/// A masked text frame; the mask is zero, which is legal and leaves the bytes readable.
fn frame(packet: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match packet.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).expect("short packets only").to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(packet.as_bytes());
    frame
}
