//! What other servers may know of a socket, in the shape that Node's servers expect.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use sockeye_proto::cluster::{Handshake, SocketDescription};
use sockeye_proto::socket::Payload;

use crate::socket::Socket;

/// What other servers may know of a socket. Headers, query and auth are secrets: they go along only if the application
/// [shares](crate::ServerBuilder::share_handshake) them. Their places stay, because Node's servers look there.
pub(crate) fn describe(socket: &Socket) -> SocketDescription {
    let handshake = socket.handshake();
    let shared = socket.server().0.cluster.shares_handshakes();
    let url = handshake.url();
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    let mut told = Handshake {
        time: javascript_time(handshake.time()),
        address: handshake.client_ip().map_or_else(String::new, |ip| ip.to_string()),
        xdomain: handshake.xdomain(),
        secure: handshake.secure(),
        issued: handshake.issued(),
        url: path.to_owned(),
        ..Handshake::default()
    };
    if shared {
        url.clone_into(&mut told.url);
        told.headers = object(handshake.raw_headers().map(|(name, value)| {
            (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned())
        }));
        told.query = object(handshake.query().map(|(key, value)| (key.into_owned(), value.into_owned())));
        socket.auth_json().clone_into(&mut told.auth);
    }
    SocketDescription {
        id: socket.0.id.clone(),
        handshake: Some(told),
        rooms: socket.rooms(),
        data: data(socket.info_json().as_deref()),
    }
}

/// What [`set_info`](Socket::set_info) set, as the one value it is for others.
pub(crate) fn data(info: Option<&str>) -> Payload {
    let text = format!("[{}]", info.unwrap_or_default());
    // It was made by the serialiser, so it is JSON; only its nesting may be more than others can take.
    Payload::from_parts(text, Vec::new(), false).unwrap_or_else(|_| nothing())
}

fn nothing() -> Payload {
    Payload::args(&()).expect("nothing can always be written")
}

/// A JSON object; the last of equal keys wins.
fn object(pairs: impl Iterator<Item = (String, String)>) -> String {
    let object: Map<String, Value> = pairs.map(|(key, value)| (key, Value::String(value))).collect();
    Value::Object(object).to_string()
}

/// A moment in the words of JavaScript's `Date`: `Fri Nov 20 2026 13:30:20 GMT+0000 (Coordinated Universal Time)`.
fn javascript_time(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March on, so that a leap day is the last of its year; eras of 400 years are all alike.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    let name = |names: &str, at: u64| names.split(' ').nth(at as usize).unwrap_or_default().to_owned();
    format!(
        "{} {} {day:02} {year} {:02}:{:02}:{:02} GMT+0000 (Coordinated Universal Time)",
        name("Thu Fri Sat Sun Mon Tue Wed", days % 7),
        name("Mar Apr May Jun Jul Aug Sep Oct Nov Dec Jan Feb", month),
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_javascript() {
        for (seconds, expected) in [
            (0, "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"),
            (951_782_400, "Tue Feb 29 2000 00:00:00 GMT+0000 (Coordinated Universal Time)"),
            (951_868_799, "Tue Feb 29 2000 23:59:59 GMT+0000 (Coordinated Universal Time)"),
            (1_795_181_420, "Fri Nov 20 2026 13:30:20 GMT+0000 (Coordinated Universal Time)"),
            (4_102_444_799, "Thu Dec 31 2099 23:59:59 GMT+0000 (Coordinated Universal Time)"),
        ] {
            assert_eq!(javascript_time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn data_is_one_value_or_none() {
        assert_eq!(data(None).text(), "[]");
        assert_eq!(data(Some(r#"{"a":1}"#)).text(), r#"[{"a":1}]"#);
    }
}
