//! Any value at all, binary included.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What a handler reads when it takes whatever comes: JSON, and binary anywhere in it.
///
/// `serde_json::Value` cannot hold binary; reading an argument that has some as one is an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, and what JavaScript calls undefined.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a double.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// A binary value.
    Binary(Bytes),
    /// An array.
    Array(Vec<Value>),
    /// An object. The last of equal keys wins.
    Object(BTreeMap<String, Value>),
}
