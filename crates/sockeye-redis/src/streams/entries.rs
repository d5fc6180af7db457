//! Entries of a stream, as Redis answers with them.

use redis::Value;
use sockeye_proto::cluster::streams::Offset;

use crate::lanes::text;

/// One entry.
pub(super) struct Found<'a> {
    pub(super) at: Offset,
    /// Names and values, one after the other.
    fields: &'a [Value],
}

impl<'a> Found<'a> {
    /// Its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.fields.chunks_exact(2).filter_map(|pair| match pair {
            [Value::BulkString(name), Value::BulkString(value)] => Some((name.as_slice(), value.as_slice())),
            _ => None,
        })
    }
}

/// The entries in an answer to `XRANGE`. What is no entry is left out.
pub(super) fn of_range(answer: &Value) -> Vec<Found<'_>> {
    let Value::Array(entries) = answer else { return Vec::new() };
    entries.iter().filter_map(found).collect()
}

/// The entries in an answer to `XREAD` of one stream: a map in RESP3.
pub(super) fn of_read(answer: &Value) -> Vec<Found<'_>> {
    match answer {
        Value::Map(streams) => streams.first().map(|(_, entries)| of_range(entries)),
        Value::Array(streams) => match streams.first() {
            Some(Value::Array(pair)) => pair.get(1).map(of_range),
            _ => None,
        },
        _ => None,
    }
    .unwrap_or_default()
}

/// Where an entry was put, as `XADD` says.
pub(super) fn place(answer: &Value) -> Option<Offset> {
    text(answer)?.parse().ok()
}

/// The id of the last entry that a stream ever got, out of `XINFO STREAM`.
pub(super) fn last_id(answer: &Value) -> Option<Offset> {
    let value = match answer {
        Value::Map(pairs) => pairs.iter().find(|(name, _)| is_last(name)).map(|(_, value)| value),
        Value::Array(pairs) => pairs.chunks_exact(2).find(|pair| is_last(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    };
    place(value?)
}

fn is_last(name: &Value) -> bool {
    text(name) == Some("last-generated-id")
}

fn found(entry: &Value) -> Option<Found<'_>> {
    let Value::Array(entry) = entry else { return None };
    match entry.as_slice() {
        [at, Value::Array(fields)] => Some(Found { at: place(at)?, fields }),
        _ => None,
    }
}
