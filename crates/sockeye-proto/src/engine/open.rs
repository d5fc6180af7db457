//! The handshake: the JSON behind the `0` of the first packet.

use core::time::Duration;

use super::Transport;

/// What the server tells a new client. The same keys in the same order for both revisions.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// The session id. A bearer secret: whoever knows it is the client.
    pub sid: &'a str,
    /// What the client may upgrade to: nothing for one that is on a WebSocket already.
    pub upgrades: &'a [Transport],
    /// See [`Timing`](super::Timing).
    pub ping_interval: Duration,
    /// See [`Timing`](super::Timing).
    pub ping_timeout: Duration,
    /// The largest message the server takes, in bytes.
    pub max_payload: u64,
}

impl Open<'_> {
    /// `{"sid":…,"upgrades":[…],"pingInterval":…,"pingTimeout":…,"maxPayload":…}`
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(112);
        json.push_str("{\"sid\":");
        // An id may come from the application, so it is quoted like any other string.
        json.push_str(&serde_json::Value::from(self.sid).to_string());
        json.push_str(",\"upgrades\":[");
        for (at, upgrade) in self.upgrades.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push('"');
            json.push_str(upgrade.as_str());
            json.push('"');
        }
        let mut number = itoa::Buffer::new();
        for (key, value) in [
            ("],\"pingInterval\":", self.ping_interval.as_millis()),
            (",\"pingTimeout\":", self.ping_timeout.as_millis()),
            (",\"maxPayload\":", u128::from(self.max_payload)),
        ] {
            json.push_str(key);
            json.push_str(number.format(value));
        }
        json.push('}');
        json
    }
}
