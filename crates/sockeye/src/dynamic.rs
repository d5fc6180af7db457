//! Namespaces that come into being when a client asks for them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use regex::Regex;

use crate::handler::BoxFuture;
use crate::rules::Rules;

type Predicate = Arc<dyn Fn(String, Arc<str>) -> BoxFuture<bool> + Send + Sync>;

/// Which names a dynamic namespace answers to.
///
/// * A text is a pattern: `{anything}` in it stands for one or more characters other than `/`, all else for itself
///   (`"/orders/{id}"`).
/// * A [`Regex`] matches anywhere in the name, as in JavaScript: anchor it (`^/room-\d+$`).
/// * [`NamespaceMatch::when`] asks an async function.
#[derive(Clone)]
pub struct NamespaceMatch(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Pattern(String),
    Regex(Regex),
    Predicate(Predicate),
}

impl NamespaceMatch {
    /// Names for which an async function says yes, given the name and the JSON text of the client's auth. It is only
    /// asked when a client connects, never by [`Server::of`](crate::Server::of).
    pub fn when<F, Fut>(ask: F) -> Self
    where
        F: Fn(String, Arc<str>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        Self(Kind::Predicate(Arc::new(move |name, auth| Box::pin(ask(name, auth)))))
    }

    /// With patterns compiled.
    pub(crate) fn compile(self) -> Result<Kind, regex::Error> {
        let Kind::Pattern(pattern) = self.0 else { return Ok(self.0) };
        let mut expression = String::from("^");
        let mut rest = pattern.as_str();
        while let Some((before, after)) = rest.split_once('{')
            && let Some((_, behind)) = after.split_once('}')
        {
            expression.push_str(&regex::escape(before));
            expression.push_str("[^/]+");
            rest = behind;
        }
        expression.push_str(&regex::escape(rest));
        expression.push('$');
        Regex::new(&expression).map(Kind::Regex)
    }
}

impl From<&str> for NamespaceMatch {
    fn from(pattern: &str) -> Self {
        Self(Kind::Pattern(pattern.to_owned()))
    }
}

impl From<String> for NamespaceMatch {
    fn from(pattern: String) -> Self {
        Self(Kind::Pattern(pattern))
    }
}

impl From<Regex> for NamespaceMatch {
    fn from(regex: Regex) -> Self {
        Self(Kind::Regex(regex))
    }
}

impl fmt::Debug for NamespaceMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Pattern(pattern) => pattern.fmt(f),
            Kind::Regex(regex) => regex.fmt(f),
            Kind::Predicate(_) => f.write_str("when(…)"),
        }
    }
}

/// A dynamic namespace: which names, and the rules its children share.
pub(crate) struct Parent {
    pub(crate) kind: Kind,
    pub(crate) rules: Arc<Rules>,
}

impl Parent {
    /// Whether this name is one of its, as far as that can be said at once.
    pub(crate) fn matches(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Regex(regex) if regex.is_match(name))
    }

    /// Whether a client that gives this name and auth may have a namespace. May panic where the application does.
    pub(crate) async fn allows(&self, name: &str, auth: &Arc<str>) -> bool {
        match &self.kind {
            Kind::Predicate(ask) => ask(name.to_owned(), Arc::clone(auth)).await,
            _ => self.matches(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let kind = NamespaceMatch::from(pattern).compile().unwrap();
        Parent { kind, rules: Arc::default() }.matches(name)
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("/orders/{id}", "/orders/17"));
        assert!(!matches("/orders/{id}", "/orders/"));
        assert!(!matches("/orders/{id}", "/orders/17/x"));
        assert!(!matches("/orders/{id}", "/x/orders/17"));
        assert!(matches("/{a}-{b}", "/x-y"));
        assert!(matches("/plain.dot", "/plain.dot"));
        assert!(!matches("/plain.dot", "/plainxdot"));
        assert!(matches("/open{", "/open{"));
    }
}
