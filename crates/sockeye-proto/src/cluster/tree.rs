//! What is to be written: built once, then spelled in JSON or in MessagePack. Members keep their order, because
//! other servers' bytes have one.

use std::borrow::Cow;

use bytes::Bytes;
use rmp::encode as out;

use super::raw;
use crate::engine::base64;
use crate::socket::Payload;
use crate::socket::msgpack::{PLACEHOLDER, from_text};

/// A value. No deeper than an envelope; what is deep is in the text of [`Tree::Json`].
pub(super) enum Tree<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Bool(bool),
    /// JSON text, with placeholders if there are binary values.
    Json(&'a str, &'a [Bytes]),
    List(Vec<Tree<'a>>),
    Map(Vec<(&'static str, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    pub(super) fn text(text: &'a str) -> Tree<'a> {
        Tree::Text(Cow::Borrowed(text))
    }

    /// All of a payload.
    pub(super) fn payload(payload: &'a Payload) -> Tree<'a> {
        Tree::Json(payload.text(), payload.attachments())
    }

    /// The first argument of a payload, if it has any.
    pub(super) fn first(payload: &'a Payload) -> Option<Tree<'a>> {
        raw::first(payload.text()).map(|text| Tree::Json(text, payload.attachments()))
    }

    pub(super) fn has_binary(&self) -> bool {
        match self {
            Tree::Json(text, attachments) => !attachments.is_empty() && text.contains(PLACEHOLDER),
            Tree::List(values) => values.iter().any(Tree::has_binary),
            Tree::Map(members) => members.iter().any(|(_, value)| value.has_binary()),
            Tree::Text(_) | Tree::Number(_) | Tree::Bool(_) => false,
        }
    }

    /// JSON where it loses nothing, MessagePack otherwise.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        if self.has_binary() { self.to_msgpack() } else { self.to_json().into_bytes() }
    }

    /// In JSON, where binary values become what Node's `Buffer` becomes there.
    pub(super) fn to_json(&self) -> String {
        let mut json = String::with_capacity(256);
        self.write_json(&mut json);
        json
    }

    pub(super) fn to_msgpack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        self.write_msgpack(&mut bytes);
        bytes
    }

    /// As an entry of a Redis stream, or as the value of a key, holds MessagePack.
    pub(super) fn to_base64(&self) -> String {
        let mut text = Vec::new();
        base64::encode(&self.to_msgpack(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    fn write_json(&self, json: &mut String) {
        match self {
            // Strings and numbers always have a JSON form.
            Tree::Text(text) => json.push_str(&serde_json::to_string(text).unwrap_or_default()),
            Tree::Number(number) => json.push_str(itoa::Buffer::new().format(*number)),
            Tree::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Tree::Json(text, []) => json.push_str(text),
            Tree::Json(text, attachments) => push_with_buffers(text, attachments, json),
            Tree::List(values) => {
                json.push('[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    value.write_json(json);
                }
                json.push(']');
            }
            Tree::Map(members) => {
                json.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    // Our own keys need no escapes.
                    json.push_str(if at > 0 { ",\"" } else { "\"" });
                    json.push_str(key);
                    json.push_str("\":");
                    value.write_json(json);
                }
                json.push('}');
            }
        }
    }

    fn write_msgpack(&self, bytes: &mut Vec<u8>) {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        // Writing into a vector does not fail.
        match self {
            Tree::Text(text) => {
                let _ = out::write_str(bytes, text);
            }
            Tree::Number(number) => {
                let _ = out::write_uint(bytes, *number);
            }
            Tree::Bool(value) => {
                let _ = out::write_bool(bytes, *value);
            }
            Tree::Json(text, attachments) => from_text(text, attachments, bytes),
            Tree::List(values) => {
                let _ = out::write_array_len(bytes, length(values.len()));
                values.iter().for_each(|value| value.write_msgpack(bytes));
            }
            Tree::Map(members) => {
                let _ = out::write_map_len(bytes, length(members.len()));
                for (key, value) in members {
                    let _ = out::write_str(bytes, key);
                    value.write_msgpack(bytes);
                }
            }
        }
    }
}

/// JSON text whose binary values are spelled out as Node's `Buffer` spells itself.
pub(super) fn push_with_buffers(text: &str, attachments: &[Bytes], json: &mut String) {
    // The spelling of a placeholder cannot occur inside a string: its quotes would be escaped there.
    let mut pieces = text.split(PLACEHOLDER);
    json.push_str(pieces.next().unwrap_or(""));
    for piece in pieces {
        let (number, rest) = piece.split_once('}').unwrap_or((piece, ""));
        let bytes = number.parse::<usize>().ok().and_then(|number| attachments.get(number));
        json.push_str("{\"type\":\"Buffer\",\"data\":[");
        for (at, byte) in bytes.map_or(&[][..], AsRef::as_ref).iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(itoa::Buffer::new().format(*byte));
        }
        json.push_str("]}");
        json.push_str(rest);
    }
}
