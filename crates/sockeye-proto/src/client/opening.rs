//! What the server says first, read without trust.

use core::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// The handshake of a server, with every number made sane (`threats.md` O2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The session id: a bearer secret.
    pub(super) sid: String,
    /// Whether the server offers WebSocket to a polling client. Offers we do not know are passed over.
    pub(super) websocket: bool,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    /// The largest body the server takes. Absent before Engine.IO 6.2, and then without limit.
    pub(super) max_payload: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    sid: String,
    #[serde(default)]
    upgrades: Value,
    #[serde(default)]
    ping_interval: Value,
    #[serde(default)]
    ping_timeout: Value,
    #[serde(default)]
    max_payload: Value,
}

impl Opening {
    /// `None` if there is no id that one could go on with. Times that are missing, no numbers or not above zero are
    /// the protocol's own 25 and 20 seconds; all are brought between 100 ms and a day, so that no server makes a
    /// client spin or overflow.
    pub(super) fn read(json: &str) -> Option<Opening> {
        let raw: Raw = serde_json::from_str(json).ok()?;
        if raw.sid.is_empty() || raw.sid.len() > 256 || raw.sid.chars().any(char::is_control) {
            return None;
        }
        let websocket = raw
            .upgrades
            .as_array()
            .is_some_and(|all| all.iter().any(|each| each.as_str() == Some("websocket")));
        let max_payload = raw
            .max_payload
            .as_f64()
            .filter(|bytes| *bytes >= 1.0)
            .and_then(|bytes| Duration::try_from_secs_f64(bytes).ok())
            .and_then(|bytes| usize::try_from(bytes.as_secs()).ok())
            .unwrap_or(usize::MAX);
        Some(Opening {
            sid: raw.sid,
            websocket,
            ping_interval: time(&raw.ping_interval, 25),
            ping_timeout: time(&raw.ping_timeout, 20),
            max_payload,
        })
    }
}

fn time(value: &Value, otherwise: u64) -> Duration {
    const DAY: Duration = Duration::from_secs(86_400);
    match value.as_f64() {
        Some(millis) if millis > 0.0 => {
            Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(DAY).clamp(Duration::from_millis(100), DAY)
        }
        _ => Duration::from_secs(otherwise),
    }
}
