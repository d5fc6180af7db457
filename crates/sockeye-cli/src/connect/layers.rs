//! `.raw`: what crosses the network, with its layers taken apart.

use std::sync::Arc;

use sockeye_client::proto::{Body, Decoder, Dialect, Limits, Packet, Protocol as Revision};
use sockeye_client::{Content, Traffic};
use sockeye_proto::engine::{self, Data, Kind, Payload, Protocol};

use crate::doctor::escaped;
use crate::options::Parser;

/// Reads along, in both directions: a packet's attachments come in frames of their own.
pub(super) struct Layers {
    protocol: Protocol,
    dialect: Dialect,
    sent: Decoder,
    received: Decoder,
}

impl Layers {
    pub(super) fn new(eio: u8, parser: Parser) -> Layers {
        let (protocol, revision) = match eio {
            3 => (Protocol::V3, Revision::V4),
            _ => (Protocol::V4, Revision::V5),
        };
        let dialect = match parser {
            Parser::Json => Dialect::Json(revision),
            Parser::Msgpack => Dialect::Msgpack(revision),
        };
        let (sent, received) = (decoder(&dialect), decoder(&dialect));
        Layers { protocol, dialect, sent, received }
    }

    /// One line for each packet, and one for what has none.
    pub(super) fn read(&mut self, traffic: &Traffic<'_>) -> Vec<String> {
        match *traffic {
            Traffic::Poll => vec!["→ GET".to_owned()],
            Traffic::Posted => vec!["← POST answered: ok".to_owned()],
            Traffic::Failed(why) => vec![format!("← request failed: {}", escaped(why, 200))],
            Traffic::Dial => {
                // What the last connection left unfinished stays so.
                (self.sent, self.received) = (decoder(&self.dialect), decoder(&self.dialect));
                vec!["→ GET, to become a WebSocket".to_owned()]
            }
            Traffic::Opened => vec!["← 101: a WebSocket".to_owned()],
            Traffic::Closed(None) => vec!["← WebSocket closed".to_owned()],
            Traffic::Closed(Some(why)) => vec![format!("← WebSocket gone: {}", escaped(why, 200))],
            Traffic::Polled { body, content } => self.payload(false, body, content),
            Traffic::Post { body, content } => self.payload(true, body, content),
            Traffic::Text { sent, text } => {
                let packet = engine::decode_text(text, self.protocol);
                vec![self.packet(sent, "text frame", packet)]
            }
            Traffic::Binary { sent, bytes } => {
                let packet = engine::decode_binary(bytes, self.protocol);
                vec![self.packet(sent, "binary frame", packet)]
            }
            _ => Vec::new(),
        }
    }

    fn payload(&mut self, sent: bool, body: &[u8], content: Content) -> Vec<String> {
        let packets: Vec<_> = Payload::body(body, content, self.protocol).collect();
        let carrier = if sent { "POST" } else { "poll" };
        packets.into_iter().map(|packet| self.packet(sent, carrier, packet)).collect()
    }

    fn packet(
        &mut self,
        sent: bool,
        carrier: &str,
        packet: Result<engine::Packet<'_>, engine::DecodeError>,
    ) -> String {
        let arrow = if sent { "→" } else { "←" };
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return format!("{arrow} {carrier} · no packet: {error}"),
        };
        let kind = match packet.kind {
            Kind::Open => "open",
            Kind::Close => "close",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Message => "message",
            Kind::Upgrade => "upgrade",
            Kind::Noop => "noop",
        };
        let begin = format!("{arrow} {carrier} · {} {kind}", packet.kind.as_char());
        if packet.kind != Kind::Message {
            return match &packet.data {
                Data::Text(text) if !text.is_empty() => format!("{begin} {}", escaped(text, LONGEST)),
                _ => begin,
            };
        }
        let decoder = if sent { &mut self.sent } else { &mut self.received };
        let (shown, read) = match &packet.data {
            Data::Text(text) => (escaped(text, LONGEST), decoder.text(text)),
            Data::Binary(bytes) => {
                let hex: Vec<String> = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                let more = if bytes.len() > 16 { " …" } else { "" };
                let shown = format!("{} bytes {}{more}", bytes.len(), hex.join(" "));
                (shown, decoder.binary(bytes.as_ref().into()))
            }
        };
        let meaning = match read {
            Ok(Some(packet)) => meaning(&packet),
            Ok(None) => "part of a packet with attachments".to_owned(),
            Err(violation) => {
                *decoder = self::decoder(&self.dialect);
                format!("no packet of Socket.IO: {violation}")
            }
        };
        format!("{begin} {shown} · {meaning}")
    }
}

fn meaning(packet: &Packet<'_>) -> String {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| match text {
        Some(text) => format!(" {}", escaped(text, LONGEST)),
        None => String::new(),
    };
    let what = match &packet.body {
        Body::Connect { auth, .. } => format!("CONNECT{}", text(auth)),
        Body::InvalidNamespace => "CONNECT to an invalid namespace".to_owned(),
        Body::Disconnect => "DISCONNECT".to_owned(),
        Body::Event { id, name, args } => {
            let id = id.map(|id| format!(" asks for ack {id}")).unwrap_or_default();
            let attachments = match args.attachments().len() {
                0 => String::new(),
                count => format!(" with {count} attachments"),
            };
            format!("EVENT {:?}{id}{attachments}", escaped(name, LONGEST))
        }
        Body::Ack { id, .. } => format!("ACK {id}"),
        Body::ConnectError(data) => format!("CONNECT_ERROR{}", text(data)),
    };
    format!("{} {what}", escaped(&packet.namespace, 100))
}

fn decoder(dialect: &Dialect) -> Decoder {
    Decoder::new(dialect.clone(), Arc::new(Limits::default()))
}

/// Characters of a payload on one line.
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_layers() {
        let mut layers = Layers::new(4, Parser::Json);
        let line = layers.read(&Traffic::Text { sent: true, text: "42/a,7[\"hi\",1]" });
        assert_eq!(line, ["→ text frame · 4 message 2/a,7[\"hi\",1] · /a EVENT \"hi\" asks for ack 7"]);
        assert_eq!(
            layers.read(&Traffic::Text { sent: false, text: "3probe" }),
            ["← text frame · 3 pong probe"]
        );
        let first = "451-[\"file\",{\"_placeholder\":true,\"num\":0}]";
        assert!(
            layers.read(&Traffic::Text { sent: false, text: first })[0]
                .ends_with("part of a packet with attachments")
        );
        let line = layers.read(&Traffic::Binary { sent: false, bytes: &[1, 2] });
        assert_eq!(line, ["← binary frame · 4 message 2 bytes 01 02 · / EVENT \"file\" with 1 attachments"]);
        let body = "42[\"a\"]\u{1e}2".as_bytes();
        assert_eq!(layers.read(&Traffic::Polled { body, content: Content::Text }).len(), 2);
        // What is broken is told, and the next is read again.
        assert!(
            layers.read(&Traffic::Text { sent: false, text: "42{" })[0].contains("no packet of Socket.IO")
        );
        assert!(layers.read(&Traffic::Text { sent: false, text: "42[\"b\"]" })[0].ends_with("/ EVENT \"b\""));
    }
}
