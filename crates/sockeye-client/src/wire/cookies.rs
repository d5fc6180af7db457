//! The cookies a server sets, for the requests that follow: sticky sessions behind load balancers need them.
//!
//! There is one server, so domain and path are not looked at; how long a cookie lives is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};

use crate::sync::lock;

/// More than that, and the oldest goes.
const COOKIES: usize = 64;
/// A longer one is not kept. Browsers draw the line there, too.
const BYTES: usize = 4096;

/// What the server asked to be told again.
#[derive(Default)]
pub(crate) struct Jar(Mutex<Vec<Cookie>>);

struct Cookie {
    name: String,
    value: String,
    until: Option<Instant>,
}

impl Jar {
    /// The value of the next request's `Cookie` header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut cookies = lock(&self.0);
        let now = Instant::now();
        cookies.retain(|cookie| cookie.until.is_none_or(|until| until > now));
        let all: Vec<String> =
            cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if all.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_str(&all.join("; ")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Keeps what an answer sets.
    pub(crate) fn learn(&self, headers: &HeaderMap) {
        for value in headers.get_all(http::header::SET_COOKIE) {
            if let Some(line) = value.to_str().ok().filter(|line| line.len() <= BYTES) {
                self.set(line);
            }
        }
    }

    fn set(&self, line: &str) {
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return;
        }
        let mut until = None;
        let mut gone = false;
        for part in parts {
            let (key, text) = part.split_once('=').unwrap_or((part, ""));
            // `Max-Age` wins over `Expires`; of the latter only that it lies in the past is of interest: servers
            // delete cookies with a date in 1970, and a connection does not live longer than the others.
            if key.trim().eq_ignore_ascii_case("max-age") {
                match text.trim().parse::<i64>() {
                    Ok(seconds @ 1..) => {
                        gone = false;
                        until = Instant::now().checked_add(Duration::from_secs(seconds.unsigned_abs()));
                    }
                    Ok(_) => gone = true,
                    Err(_) => {}
                }
            } else if key.trim().eq_ignore_ascii_case("expires") && until.is_none() {
                gone = text.contains("1970");
            }
        }
        let mut cookies = lock(&self.0);
        cookies.retain(|cookie| cookie.name != name);
        if !gone {
            cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), until });
            if cookies.len() > COOKIES {
                cookies.remove(0);
            }
        }
    }
}

impl std::fmt::Debug for Jar {
    /// How many: they are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jar({})", lock(&self.0).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_said_again_until_it_is_taken_back() {
        let jar = Jar::default();
        assert_eq!(jar.header(), None);
        jar.set("node=a1; Path=/; HttpOnly");
        jar.set("session = x=y ; Max-Age=60");
        assert_eq!(jar.header().unwrap(), "node=a1; session=x=y");
        jar.set("node=b2");
        jar.set("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        jar.set("=nameless");
        assert_eq!(jar.header().unwrap(), "node=b2");
        jar.set("node=b2; Max-Age=0");
        assert_eq!(jar.header(), None);
        (0..100).for_each(|n| jar.set(&format!("c{n}={n}")));
        assert_eq!(lock(&jar.0).len(), COOKIES);
    }
}
