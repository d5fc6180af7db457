//! [`Mismatch`]: an argument that did not fit, told without telling what it was.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;

use crate::socket::{Arguments, ReadError};

/// Why an extractor had nothing to give.
///
/// Names the type that was asked for and what of it was not found, never what the client sent instead: that may be
/// a secret, and this is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    kind: MismatchKind,
    wanted: &'static str,
    detail: Cow<'static, str>,
}

/// The kinds of [`Mismatch`]; what is counted and logged once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MismatchKind {
    /// The client sent fewer arguments.
    NoArgument,
    /// The client sent something of another shape.
    Payload,
    /// The client awaits no answer, and the handler insists on giving one.
    NoAck,
    /// Nothing of this type was put into the socket's data.
    NoSocketData,
    /// The application gave the server no such state. Only for handlers added after the server was built.
    NoState,
    /// An extractor of the application's own said so.
    Custom,
}

impl Mismatch {
    /// For extractors of your own: `T` could not be had, because of `detail` (logged; keep the client's words out).
    pub fn custom<T>(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: MismatchKind::Custom, wanted: type_name::<T>(), detail: detail.into() }
    }

    /// `T` could not be had, for one of the reasons that need no more words.
    pub fn new<T>(kind: MismatchKind) -> Self {
        Self { kind, wanted: type_name::<T>(), detail: Cow::Borrowed("") }
    }

    /// A payload that serde could not read as `T`: which argument, counted from 0, and what serde said.
    pub fn payload<T>(argument: usize, message: &str) -> Self {
        let mut detail = discreet(message).to_owned();
        if argument > 0 {
            detail.push_str(&format!(" (argument {argument})"));
        }
        Self { kind: MismatchKind::Payload, wanted: type_name::<T>(), detail: detail.into() }
    }

    /// Arguments that could not be read as a `T`. One that is missing reads as null; this says what it is.
    pub fn read<T>(args: &Arguments<'_>, error: &ReadError) -> Self {
        if args.is_empty() {
            return Self::new::<T>(MismatchKind::NoArgument);
        }
        Self::payload::<T>(error.argument, &error.message)
    }

    /// Which kind.
    pub fn kind(&self) -> MismatchKind {
        self.kind
    }

    /// The name of the Rust type asked for.
    pub fn wanted(&self) -> &'static str {
        self.wanted
    }

    /// Whether there was nothing at all, as opposed to something that does not fit.
    pub fn is_absent(&self) -> bool {
        !matches!(self.kind, MismatchKind::Payload | MismatchKind::Custom)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted;
        match self.kind {
            MismatchKind::NoArgument => write!(f, "there is no argument to read as `{wanted}`")?,
            MismatchKind::Payload => write!(f, "the payload is not a `{wanted}`")?,
            MismatchKind::NoAck => {
                write!(f, "the client awaits no answer (take `Option<AckSender>` to allow that)")?
            }
            MismatchKind::NoSocketData => write!(f, "the socket's data has no `{wanted}`")?,
            MismatchKind::NoState => write!(f, "the server has no `State<{wanted}>`")?,
            MismatchKind::Custom => write!(f, "`{wanted}` could not be extracted")?,
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// What of serde's message comes from our types rather than from the client.
fn discreet(message: &str) -> &str {
    if message.starts_with("missing field `") {
        return message;
    }
    // "invalid type: string \"…the client's…\", expected u32 at line 1 column 9"
    match message.rfind(", expected ") {
        Some(at) => message.get(at.saturating_add(2)..).unwrap_or_default(),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_wanted_and_not_what_came() {
        #[derive(Debug, serde::Deserialize)]
        struct Login {
            #[allow(dead_code)]
            pin: u32,
        }
        let say = |json| {
            let error = serde_json::from_str::<Login>(json).unwrap_err();
            Mismatch::payload::<Login>(0, &error.to_string()).to_string()
        };
        let name = type_name::<Login>();
        assert_eq!(
            say(r#"{"pin":"hunter2, expected nothing"}"#),
            format!("the payload is not a `{name}`: expected u32 at line 1 column 34")
        );
        assert_eq!(
            say("{}"),
            format!("the payload is not a `{name}`: missing field `pin` at line 1 column 2")
        );
        assert!(!say(r#"{"pin":"hunter2"}"#).contains("hunter2"));
    }
}
