//! Arguments of events, as people and scripts write them: JSON, with binary as a file or as `{"$base64":"…"}`.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sockeye_client::{Args, Payload, Value};

/// The key of an object that stands for bytes.
const BINARY: &str = "$base64";

/// One argument of a command line: JSON, `@file` for a file's bytes (`@-`: standard input), and anything else is a
/// string. What begins like JSON and is none is taken for a slip, not for a string.
pub(crate) fn value(text: &str) -> anyhow::Result<Value> {
    if let Some(file) = text.strip_prefix('@') {
        return Ok(Value::Binary(bytes(file)?.into()));
    }
    match serde_json::from_str(text) {
        Ok(json) => from_json(json),
        Err(error) if text.starts_with(['{', '[', '"']) => {
            Err(error).with_context(|| format!("{text} begins like JSON and is none"))
        }
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

/// Several arguments on one line, between spaces.
pub(crate) fn values(line: &str) -> anyhow::Result<Vec<Value>> {
    let mut rest = line.trim_start();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Json>();
        let read = stream.next();
        let at = stream.byte_offset();
        let whole =
            rest.get(at..).is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace));
        let end = match read {
            Some(Ok(json)) if whole => {
                all.push(from_json(json)?);
                at
            }
            // A word: a file, a string without quotes, or a slip.
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                all.push(value(&rest[..end])?);
                end
            }
        };
        rest = rest[end..].trim_start();
    }
    Ok(all)
}

/// An event with these arguments, each by itself.
pub(crate) fn event(name: &str, values: Vec<Value>) -> anyhow::Result<Payload> {
    Ok(Payload::event(name, &Args(values))?)
}

/// The arguments of an event as JSON. What cannot be read is an empty list: the client has checked it before.
pub(crate) fn arguments(payload: &Payload) -> Vec<Json> {
    payload.event_arguments().args::<Vec<Value>>().unwrap_or_default().iter().map(to_json).collect()
}

/// The arguments of an answer, likewise.
pub(crate) fn answer(payload: &Payload) -> Vec<Json> {
    payload.ack_arguments().args::<Vec<Value>>().unwrap_or_default().iter().map(to_json).collect()
}

/// As people read it: the values, with a space in between.
pub(crate) fn shown(values: &[Json]) -> String {
    let all: Vec<String> = values.iter().map(Json::to_string).collect();
    all.join(" ")
}

fn bytes(file: &str) -> anyhow::Result<Vec<u8>> {
    if file == "-" {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut all).context("standard input")?;
        return Ok(all);
    }
    if file.is_empty() {
        bail!("@ without a file; a string that begins so is written \"@…\"");
    }
    std::fs::read(file).with_context(|| format!("@{file}"))
}

fn from_json(json: Json) -> anyhow::Result<Value> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(value) => Value::Number(value),
        Json::String(value) => Value::String(value),
        Json::Array(values) => Value::Array(values.into_iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(entries) => match entries.get(BINARY) {
            Some(Json::String(text)) if entries.len() == 1 => {
                Value::Binary(STANDARD.decode(text).with_context(|| format!("{BINARY} is no base64"))?.into())
            }
            _ => {
                let entries = entries.into_iter().map(|(key, value)| Ok((key, from_json(value)?)));
                Value::Object(entries.collect::<anyhow::Result<BTreeMap<_, _>>>()?)
            }
        },
    })
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(value) => Json::Number(value.clone()),
        Value::String(value) => Json::String(value.clone()),
        Value::Binary(bytes) => json!({ BINARY: STANDARD.encode(bytes) }),
        Value::Array(values) => Json::Array(values.iter().map(to_json).collect()),
        Value::Object(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(line: &str) -> String {
        shown(&values(line).unwrap().iter().map(to_json).collect::<Vec<_>>())
    }

    #[test]
    fn lines() {
        assert_eq!(
            there_and_back(r#" 1 "a b" {"x": [null, true]}  word -2.5 "#),
            r#"1 "a b" {"x":[null,true]} "word" -2.5"#
        );
        assert_eq!(there_and_back("12abc truely"), r#""12abc" "truely""#);
        assert_eq!(there_and_back(r#"{"deep":{"$base64":"AQID"}}"#), r#"{"deep":{"$base64":"AQID"}}"#);
        assert_eq!(there_and_back(""), "");
        for slip in [r#"{"a":}"#, "[1,", "\"open", r#"{"$base64":"!"}"#, "@", "@/nowhere/at/all"] {
            assert!(values(slip).is_err(), "{slip}");
        }
    }

    #[test]
    fn bytes_travel_as_bytes() {
        let payload = event("file", values(r#"1 {"$base64":"AQID"}"#).unwrap()).unwrap();
        assert_eq!(payload.attachments().len(), 1);
        assert_eq!(shown(&arguments(&payload)), r#"1 {"$base64":"AQID"}"#);
    }
}
