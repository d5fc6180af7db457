//! The parts that all spellings have in common, read.

use std::sync::Arc;
use std::time::Duration;

use super::raw::Raw;
use super::tree::push_with_buffers;
use super::{Flags, Handshake, Limits, Options, Refused, SocketDescription};
use crate::socket::{Payload, json};

/// Reads the parts of one message, which share what it may have of binary values.
pub(super) struct Reader<'l> {
    pub(super) limits: &'l Limits,
    attachments: usize,
}

impl<'l> Reader<'l> {
    pub(super) fn new(limits: &'l Limits) -> Reader<'l> {
        Reader { limits, attachments: limits.attachments }
    }

    /// The rooms, exceptions and flags of a broadcast; what is missing in it is empty.
    pub(super) fn options(&self, raw: Option<Raw<'_>>) -> Result<Options, Refused> {
        let raw = needed(raw, "opts")?;
        let [rooms, except, flags] = raw.fields("opts", ["rooms", "except", "flags"])?;
        Ok(Options {
            rooms: self.optional_names(rooms, "rooms")?,
            except: self.optional_names(except, "except")?,
            flags: flags.map(read_flags).transpose()?.unwrap_or_default(),
        })
    }

    pub(super) fn names(&self, raw: Option<Raw<'_>>, what: &'static str) -> Result<Vec<Arc<str>>, Refused> {
        let entries = needed(raw, what)?.entries(what, self.limits.names)?;
        entries.into_iter().map(|entry| entry.name().map(Arc::from).ok_or(Refused::Field(what))).collect()
    }

    fn optional_names(&self, raw: Option<Raw<'_>>, what: &'static str) -> Result<Vec<Arc<str>>, Refused> {
        match raw.filter(|raw| !raw.is_nothing()) {
            Some(raw) => self.names(Some(raw), what),
            None => Ok(Vec::new()),
        }
    }

    /// A packet to be delivered: its event and the namespace it names.
    pub(super) fn packet(&mut self, raw: Option<Raw<'_>>) -> Result<(Payload, Option<Arc<str>>), Refused> {
        let raw = needed(raw, "packet")?;
        let [kind, data, namespace] = raw.fields("packet", ["type", "data", "nsp"])?;
        // 5 is what the generation before called an event with binary values in it. To pass it on as 5 is what makes
        // Node's servers send their clients frames that these cannot read.
        if !matches!(kind.and_then(Raw::number), Some(2 | 5)) {
            return Err(Refused::NotAnEvent);
        }
        let namespace = match namespace.filter(|raw| !raw.is_nothing()) {
            Some(raw) => Some(string(Some(raw), "nsp")?),
            None => None,
        };
        Ok((self.event(data, "data")?, namespace))
    }

    /// The name of an event and its arguments.
    pub(super) fn event(&mut self, raw: Option<Raw<'_>>, what: &'static str) -> Result<Payload, Refused> {
        let (text, attachments) = needed(raw, what)?.text(self.limits, self.attachments)?;
        self.attachments = self.attachments.saturating_sub(attachments.len());
        Ok(Payload::from_parts(text.into_owned(), attachments, true)?)
    }

    /// A single value, as a list of one; of none if it is absent.
    pub(super) fn value(&mut self, raw: Option<Raw<'_>>) -> Result<Payload, Refused> {
        let Some(raw) = raw else { return Ok(Payload::from_parts("[]".to_owned(), Vec::new(), false)?) };
        let (text, attachments) = raw.text(self.limits, self.attachments)?;
        self.attachments = self.attachments.saturating_sub(attachments.len());
        Ok(Payload::from_parts(["[", &*text, "]"].concat(), attachments, false)?)
    }

    pub(super) fn sockets(&mut self, raw: Option<Raw<'_>>) -> Result<Vec<SocketDescription>, Refused> {
        let entries = needed(raw, "sockets")?.entries("sockets", self.limits.sockets)?;
        entries.into_iter().map(|entry| self.socket(entry)).collect()
    }

    fn socket(&mut self, raw: Raw<'_>) -> Result<SocketDescription, Refused> {
        let [id, handshake, rooms, data] = raw.fields("sockets", ["id", "handshake", "rooms", "data"])?;
        let handshake = handshake.filter(|raw| !raw.is_nothing());
        Ok(SocketDescription {
            id: string(id, "id")?,
            handshake: handshake.map(|raw| self.handshake(raw)).transpose()?,
            rooms: self.optional_names(rooms, "rooms")?,
            data: self.value(data)?,
        })
    }

    fn handshake(&self, raw: Raw<'_>) -> Result<Handshake, Refused> {
        let [headers, time, address, xdomain, secure, issued, url, query, auth] = raw.fields(
            "handshake",
            ["headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth"],
        )?;
        let text = |raw: Option<Raw<'_>>| raw.and_then(Raw::string).unwrap_or_default().into_owned();
        let flag = |raw: Option<Raw<'_>>| raw.and_then(Raw::bool).unwrap_or(false);
        Ok(Handshake {
            headers: self.json(headers)?,
            time: text(time),
            address: text(address),
            xdomain: flag(xdomain),
            secure: flag(secure),
            issued: issued.and_then(Raw::number).unwrap_or(0),
            url: text(url),
            query: self.json(query)?,
            auth: self.json(auth)?,
        })
    }

    /// JSON without attachments: should there be binary values all the same, they are spelled out.
    fn json(&self, raw: Option<Raw<'_>>) -> Result<String, Refused> {
        let Some(raw) = raw else { return Ok("{}".to_owned()) };
        let (text, attachments) = raw.text(self.limits, self.attachments)?;
        json::value(&text, self.limits.depth)?;
        if attachments.is_empty() {
            return Ok(text.into_owned());
        }
        let mut json = String::with_capacity(text.len());
        push_with_buffers(&text, &attachments, &mut json);
        Ok(json)
    }
}

fn read_flags(raw: Raw<'_>) -> Result<Flags, Refused> {
    if !raw.is_map() {
        return Ok(Flags::default());
    }
    let [volatile, compress, single, timeout] =
        raw.fields("flags", ["volatile", "compress", "expectSingleResponse", "timeout"])?;
    Ok(Flags {
        volatile: volatile.and_then(Raw::bool).unwrap_or(false),
        compress: compress.and_then(Raw::bool),
        expect_single_response: single.and_then(Raw::bool).unwrap_or(false),
        timeout: timeout.and_then(Raw::number).map(Duration::from_millis),
    })
}

/// What is neither missing nor null.
pub(super) fn needed<'a>(raw: Option<Raw<'a>>, what: &'static str) -> Result<Raw<'a>, Refused> {
    raw.filter(|raw| !raw.is_nothing()).ok_or(Refused::Field(what))
}

pub(super) fn string(raw: Option<Raw<'_>>, what: &'static str) -> Result<Arc<str>, Refused> {
    raw.and_then(Raw::string).map(Arc::from).ok_or(Refused::Field(what))
}

/// A string that may be missing, but may not be something else.
pub(super) fn optional_string(raw: Option<Raw<'_>>, what: &'static str) -> Result<Option<Arc<str>>, Refused> {
    raw.filter(|raw| !raw.is_nothing()).map(|raw| string(Some(raw), what)).transpose()
}

/// A truth value; missing and null are false.
pub(super) fn flag(raw: Option<Raw<'_>>, what: &'static str) -> Result<bool, Refused> {
    match raw.filter(|raw| !raw.is_nothing()) {
        Some(raw) => raw.bool().ok_or(Refused::Field(what)),
        None => Ok(false),
    }
}
