//! The cookie that a sticky load balancer may use. It is written, never read.

use std::time::Duration;

use http::HeaderValue;

use crate::config::ConfigError;

/// The cookie set by a polling handshake; its value is the session id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Default `io`.
    pub name: String,
    /// Default `/`.
    pub path: Option<String>,
    /// Default none.
    pub domain: Option<String>,
    /// Default `true`: scripts cannot read it.
    pub http_only: bool,
    /// Default [`SameSite::Lax`].
    pub same_site: Option<SameSite>,
    /// `None`, the default: set when the request came over TLS. `SameSite=None` needs `Some(true)`.
    pub secure: Option<bool>,
    /// Default none: the cookie lives as long as the browser.
    pub max_age: Option<Duration>,
    /// Partitioned by top-level site (CHIPS). Default `false`.
    pub partitioned: bool,
}

/// When a browser sends the cookie along with requests made by other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always. Needs `Secure`.
    None,
}

impl Default for Cookie {
    fn default() -> Self {
        Cookie {
            name: "io".to_owned(),
            path: Some("/".to_owned()),
            domain: None,
            http_only: true,
            same_site: Some(SameSite::Lax),
            secure: None,
            max_age: None,
            partitioned: false,
        }
    }
}

impl Cookie {
    /// The default cookie under another name.
    pub fn named(name: impl Into<String>) -> Self {
        Cookie { name: name.into(), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        // RFC 6265: a name is a token; path and domain are anything but controls and `;`.
        let token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        let attribute = |b: u8| (b' '..0x7f).contains(&b) && b != b';';
        if self.name.is_empty() || !self.name.bytes().all(token) {
            return Err(ConfigError::BadCookie("name"));
        }
        if self.path.as_ref().is_some_and(|p| !p.starts_with('/') || !p.bytes().all(attribute)) {
            return Err(ConfigError::BadCookie("path"));
        }
        if self.domain.as_ref().is_some_and(|d| d.is_empty() || !d.bytes().all(|b| attribute(b) && b != b' '))
        {
            return Err(ConfigError::BadCookie("domain"));
        }
        let insecure = self.secure != Some(true);
        if insecure && (self.same_site == Some(SameSite::None) || self.partitioned) {
            return Err(ConfigError::InsecureCookie);
        }
        Ok(())
    }

    /// The `Set-Cookie` value. `None` if the id (an application may make its own) cannot be in a cookie.
    pub(crate) fn header(&self, id: &str, tls: bool) -> Option<HeaderValue> {
        if !id.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b)) {
            return None;
        }
        let mut text = format!("{}={id}", self.name);
        if let Some(age) = self.max_age {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if let Some(path) = &self.path {
            text.push_str("; Path=");
            text.push_str(path);
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure.unwrap_or(tls) {
            text.push_str("; Secure");
        }
        if self.partitioned {
            text.push_str("; Partitioned");
        }
        match self.same_site {
            Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
            Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
            Some(SameSite::None) => text.push_str("; SameSite=None"),
            None => {}
        }
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_could_carry_a_second_header_is_refused() {
        for bad in ["", "a b", "a;b", "a\r\nX: y", "ä", "a=b", "\"a\""] {
            assert_eq!(Cookie::named(bad).check(), Err(ConfigError::BadCookie("name")), "{bad:?}");
        }
        for bad in ["x", "/a;b", "/a\r\n", "/ä"] {
            let cookie = Cookie { path: Some(bad.to_owned()), ..Cookie::default() };
            assert_eq!(cookie.check(), Err(ConfigError::BadCookie("path")), "{bad:?}");
            let cookie = Cookie { domain: Some(format!("{bad};")), ..Cookie::default() };
            assert_eq!(cookie.check(), Err(ConfigError::BadCookie("domain")), "{bad:?}");
        }
        assert_eq!(Cookie::default().check(), Ok(()));
    }

    #[test]
    fn same_site_none_needs_secure() {
        let cookie = Cookie { same_site: Some(SameSite::None), ..Cookie::default() };
        assert_eq!(cookie.check(), Err(ConfigError::InsecureCookie));
        assert_eq!(Cookie { secure: Some(true), ..cookie }.check(), Ok(()));
    }

    #[test]
    fn flags_follow_the_connection() {
        let plain = Cookie::default().header("abc", false).unwrap();
        assert_eq!(plain, "io=abc; Path=/; HttpOnly; SameSite=Lax");
        let tls = Cookie::default().header("abc", true).unwrap();
        assert_eq!(tls, "io=abc; Path=/; HttpOnly; Secure; SameSite=Lax");
        assert_eq!(Cookie::default().header("a;b", true), None);
    }
}
