//! What is said to a server, and what its answers mean: both layers, both generations, both parsers.

use std::sync::Arc;

use serde::Deserialize;
use sockeye_proto::engine::{self, Content, Data, Form, Kind, Message, Payload, PayloadWriter};
use sockeye_proto::socket::{self, Body, Decoder, Dialect, Limits, Out, PacketOut};

use crate::options::Parser;

/// How we speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Speech {
    pub(super) engine: engine::Protocol,
    pub(super) parser: Parser,
}

/// A server's handshake, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opening {
    pub(super) sid: String,
    #[serde(default)]
    pub(super) upgrades: Vec<String>,
    pub(super) ping_interval: u64,
    pub(super) ping_timeout: u64,
    pub(super) max_payload: Option<u64>,
}

impl Opening {
    pub(super) fn summary(&self) -> String {
        let size = match self.max_payload {
            Some(bytes) => format!("messages up to {bytes} bytes"),
            None => "no greatest message told".to_owned(),
        };
        let (interval, timeout) = (self.ping_interval, self.ping_timeout);
        format!("a session, heartbeat every {interval} ms and {timeout} ms to answer, {size}")
    }
}

/// What the body of a handshake's answer is.
#[derive(Debug)]
pub(super) enum First {
    Open(Opening),
    /// An error of Engine.IO itself: whatever is wrong, the path is right.
    Refused {
        code: u64,
        message: String,
    },
    /// Nothing of Engine.IO.
    Foreign,
}

/// Reads the answer to a handshake, in the form of `protocol`.
pub(super) fn first(body: &[u8], protocol: engine::Protocol) -> First {
    for content in [Content::Text, Content::Binary] {
        if content == Content::Binary && protocol == engine::Protocol::V4 {
            continue;
        }
        if let Some(Ok(packet)) = Payload::body(body, content, protocol).next()
            && packet.kind == Kind::Open
            && let Data::Text(json) = &packet.data
            && let Ok(opening) = serde_json::from_str::<Opening>(json)
        {
            return First::Open(opening);
        }
    }
    #[derive(Deserialize)]
    struct Error {
        code: u64,
        message: String,
    }
    match serde_json::from_slice::<Error>(body) {
        Ok(Error { code, message }) => First::Refused { code, message },
        Err(_) => First::Foreign,
    }
}

/// Whether an answer says that the server does not know the session: Node's words, or Python's.
pub(super) fn is_unknown_session(status: u16, body: &[u8]) -> bool {
    let said = String::from_utf8_lossy(body);
    matches!(first(body, engine::Protocol::V4), First::Refused { code: 1, .. })
        || status == 400 && (said.contains("Invalid session") || said.contains("Session ID unknown"))
}

/// What a packet means on the way into a namespace.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Joined,
    /// With JSON text.
    Refused(String),
    /// The server wants a sign of life.
    Ping,
    /// The session is over.
    Ended,
    /// Nothing that matters here.
    Other,
}

impl Speech {
    pub(super) fn new(eio: u8, parser: Parser) -> Speech {
        let engine = if eio == 3 { engine::Protocol::V3 } else { engine::Protocol::V4 };
        Speech { engine, parser }
    }

    pub(super) fn version(self) -> &'static str {
        match self.engine {
            engine::Protocol::V3 => "Engine.IO 3",
            engine::Protocol::V4 => "Engine.IO 4",
        }
    }

    fn dialect(self) -> Dialect {
        let protocol = match self.engine {
            engine::Protocol::V3 => socket::Protocol::V4,
            engine::Protocol::V4 => socket::Protocol::V5,
        };
        match self.parser {
            Parser::Json => Dialect::Json(protocol),
            Parser::Msgpack => Dialect::Msgpack(protocol),
        }
    }

    /// The CONNECT to a namespace; `None` where none is sent, since the server lets everybody in by itself.
    pub(super) fn connect(self, namespace: &str, auth: Option<&str>) -> Option<Message> {
        if self.engine == engine::Protocol::V3 && namespace == "/" {
            return None;
        }
        let packet = PacketOut { namespace, body: Out::Connect(auth), compress: true };
        Some(socket::encode(&packet, &self.dialect()).ok()?.first().clone())
    }

    /// The body of a POST with this message.
    pub(super) fn post(self, message: &Message) -> Vec<u8> {
        let mut writer = self.writer();
        writer.message(message);
        writer.finish()
    }

    /// The body of a POST that no application sees: a sign of life.
    pub(super) fn sign_of_life(self) -> Vec<u8> {
        self.post_kind(if self.engine == engine::Protocol::V3 { Kind::Ping } else { Kind::Pong })
    }

    /// The body of a POST with a packet of this kind.
    pub(super) fn post_kind(self, kind: Kind) -> Vec<u8> {
        let mut writer = self.writer();
        writer.packet(kind, "");
        writer.finish()
    }

    fn writer(self) -> PayloadWriter {
        PayloadWriter::new(Form::new(self.engine, true, false), false)
    }

    /// What the first packet that matters among those of a poll's body means.
    pub(super) fn hear_body(self, body: &[u8], namespace: &str) -> Word {
        Payload::body(body, Content::Text, self.engine)
            .map_while(Result::ok)
            .map(|packet| self.hear(&packet, namespace))
            .find(|word| *word != Word::Other)
            .unwrap_or(Word::Other)
    }

    /// What a text frame means.
    pub(super) fn hear_text(self, text: &str, namespace: &str) -> Word {
        engine::decode_text(text, self.engine).map_or(Word::Other, |packet| self.hear(&packet, namespace))
    }

    /// What a binary frame means.
    pub(super) fn hear_binary(self, bytes: &[u8], namespace: &str) -> Word {
        engine::decode_binary(bytes, self.engine).map_or(Word::Other, |packet| self.hear(&packet, namespace))
    }

    fn hear(self, packet: &engine::Packet<'_>, namespace: &str) -> Word {
        match packet.kind {
            Kind::Ping => return Word::Ping,
            Kind::Close => return Word::Ended,
            Kind::Message => {}
            _ => return Word::Other,
        }
        let mut decoder = Decoder::new(self.dialect(), Arc::new(Limits::default()));
        let packet = match &packet.data {
            Data::Text(text) => decoder.text(text),
            Data::Binary(bytes) => decoder.binary(bytes.as_ref().into()),
        };
        match packet {
            Ok(Some(packet)) if packet.namespace == namespace => match packet.body {
                Body::Connect { .. } => Word::Joined,
                Body::ConnectError(data) => {
                    Word::Refused(data.map_or_else(|| "null".to_owned(), |data| data.into_owned()))
                }
                Body::Disconnect => Word::Ended,
                _ => Word::Other,
            },
            _ => Word::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes() {
        let json = r#"{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}"#;
        let v4 = format!("0{json}\u{1e}40");
        let v3 = format!("{}:0{json}2:40", json.len() + 1);
        assert!(matches!(first(v4.as_bytes(), engine::Protocol::V4), First::Open(_)));
        assert!(matches!(first(v3.as_bytes(), engine::Protocol::V3), First::Open(_)));
        assert!(matches!(first(v3.as_bytes(), engine::Protocol::V4), First::Foreign));
        let refused = br#"{"code":5,"message":"Unsupported protocol version"}"#;
        assert!(matches!(first(refused, engine::Protocol::V4), First::Refused { code: 5, .. }));
        assert!(matches!(first(b"<html>", engine::Protocol::V4), First::Foreign));
        assert!(is_unknown_session(400, br#""Invalid session""#));
    }

    #[test]
    fn joining() {
        for parser in [Parser::Json, Parser::Msgpack] {
            let speech = Speech::new(4, parser);
            let sent = speech.connect("/a", Some(r#"{"sid":"x"}"#)).unwrap();
            // A server's answer looks like a client's question.
            assert_eq!(speech.hear_body(&speech.post(&sent), "/a"), Word::Joined);
        }
        let speech = Speech::new(4, Parser::Json);
        assert_eq!(speech.hear_body("2\u{1e}44/a,{\"message\":\"no\"}".as_bytes(), "/a"), Word::Ping);
        assert_eq!(
            speech.hear_text("44/a,{\"message\":\"no\"}", "/a"),
            Word::Refused("{\"message\":\"no\"}".to_owned())
        );
        assert_eq!(Speech::new(3, Parser::Json).hear_body(b"2:40", "/"), Word::Joined);
    }
}
