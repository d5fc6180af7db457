//! [`Refusal`]: a "no" that is meant for the client.
//!
//! A refusal never carries what the client sent, nor the text of an internal error: only what the application
//! put into it on purpose.

use std::error::Error;
use std::fmt;

use serde::Serialize;

/// A "no" to the client: to its CONNECT (from a middleware) or to an event whose answer it awaits.
///
/// * From a connect middleware it becomes a `CONNECT_ERROR` packet, `{"message": …, "data": …}`.
/// * From a handler or a layer it becomes the error answer: an ack whose only argument is
///   `{"error":{"message": …, "data": …}}`. `data` is left out when there is none. A handler that nobody awaits
///   an answer from refuses into the log only.
///
/// Any [`std::error::Error`] turns into a refusal with `?`; its text stays on the server (it is logged), the client
/// reads `internal error`. To tell a client more, say so: [`Refusal::new`], or [`IntoRefusal`] for an error type
/// of your own.
///
/// ```
/// use sockeye_proto::event::Refusal;
///
/// fn parse(text: &str) -> Result<u32, Refusal> {
///     let number: u32 = text.parse()?;                     // the client reads "internal error"
///     if number > 100 {
///         return Err(Refusal::new("too many").data(100));  // … "too many", with 100 beside it
///     }
///     Ok(number)
/// }
/// assert_eq!(parse("x").unwrap_err().message(), "internal error");
/// assert_eq!(parse("101").unwrap_err().message(), "too many");
/// ```
pub struct Refusal {
    message: String,
    data: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal the client reads as `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None, cause: None }
    }

    /// Adds details for the other side, any serialisable value. What cannot be serialised (a map whose keys are not
    /// strings, say) is left out, and its error becomes the cause, which is logged.
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        match serde_json::to_string(&data) {
            Ok(json) => self.data = Some(json),
            Err(error) => {
                self.cause.get_or_insert_with(|| format!("its data cannot be serialised: {error}").into());
            }
        }
        self
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details for the client, as JSON text.
    pub fn data_json(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The cause, which stays on the server.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// `{"message":…,"data":…}`: the payload of a CONNECT_ERROR.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.message.len().saturating_add(16));
        json.push_str("{\"message\":");
        json.push_str(&serde_json::Value::from(self.message.as_str()).to_string());
        if let Some(data) = &self.data {
            json.push_str(",\"data\":");
            json.push_str(data);
        }
        json.push('}');
        json
    }

    /// `[{"error":{"message":…,"data":…}}]`: the arguments of an error answer.
    pub fn to_ack_json(&self) -> String {
        format!("[{{\"error\":{}}}]", self.to_json())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Refusal");
        out.field("message", &self.message);
        if self.data.is_some() {
            out.field("data", &format_args!("…"));
        }
        if let Some(cause) = &self.cause {
            out.field("cause", cause);
        }
        out.finish()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// No `impl Error for Refusal`: it would forbid this conversion, and `?` is what handlers are written with.
impl<E: Error + Send + Sync + 'static> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::new("internal error").because(error)
    }
}

/// Error types a handler or middleware may return: how they look to the client.
///
/// ```
/// use sockeye_proto::event::{IntoRefusal, Refusal};
///
/// enum Trouble { Full { seats: u32 }, Banned }
///
/// impl IntoRefusal for Trouble {
///     fn into_refusal(self) -> Refusal {
///         match self {
///             Trouble::Full { seats } => Refusal::new("the room is full").data(seats),
///             Trouble::Banned => Refusal::new("you may not"),
///         }
///     }
/// }
///
/// async fn join() -> Result<(), Trouble> {
///     Err(Trouble::Banned)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what the client may read of it",
    note = "return `Refusal` (any `std::error::Error` turns into one with `?`), or implement `IntoRefusal` for `{Self}`"
)]
pub trait IntoRefusal {
    /// What the client is told.
    fn into_refusal(self) -> Refusal;
}

impl IntoRefusal for Refusal {
    fn into_refusal(self) -> Refusal {
        self
    }
}

impl IntoRefusal for String {
    fn into_refusal(self) -> Refusal {
        Refusal::new(self)
    }
}

impl IntoRefusal for &'static str {
    fn into_refusal(self) -> Refusal {
        Refusal::new(self)
    }
}

impl IntoRefusal for Box<dyn Error + Send + Sync> {
    /// `internal error`; the text is logged.
    fn into_refusal(self) -> Refusal {
        Refusal { message: "internal error".to_owned(), data: None, cause: Some(self) }
    }
}

impl IntoRefusal for std::convert::Infallible {
    fn into_refusal(self) -> Refusal {
        match self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_the_same_in_both_places() {
        let refusal = Refusal::new("no \"entry\"").data(serde_json::json!({"code": 7}));
        assert_eq!(refusal.to_json(), r#"{"message":"no \"entry\"","data":{"code":7}}"#);
        assert_eq!(refusal.to_ack_json(), r#"[{"error":{"message":"no \"entry\"","data":{"code":7}}}]"#);
        assert_eq!(Refusal::new("no").to_json(), r#"{"message":"no"}"#);
    }

    #[test]
    fn the_text_of_an_error_stays_at_home() {
        let refusal = Refusal::from(std::io::Error::other("password is hunter2"));
        assert_eq!(refusal.to_ack_json(), r#"[{"error":{"message":"internal error"}}]"#);
        assert!(refusal.cause().is_some());
    }
}
