//! The network, on tokio and hyper: what the machine orders is done here, and what came of it is reported.
//!
//! Nothing in here knows a packet, a namespace or an event; every body, header and message has a limit.

mod cookies;
mod dial;
mod polling;
mod proxy;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use sockeye_proto::client::Wire;
use sockeye_proto::engine::{Content, Protocol};
use sockeye_proto::websocket::deflate;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

pub(crate) use cookies::Jar;
pub(crate) use dial::{Dialer, Route};
pub(crate) use proxy::Proxy;
#[cfg(feature = "tls")]
pub(crate) use tls::{Tls, TlsOptions};

use crate::guard::Guarded;
use crate::target::Target;
use crate::traffic::Tap;
use polling::Polling;

/// What came of an order.
#[derive(Debug)]
pub(crate) enum Report {
    Polled(Vec<u8>, Content),
    Posted,
    /// A GET, or (`true`) a POST.
    Failed(bool, String),
    Opened,
    Text(String),
    Binary(Vec<u8>),
    Written,
    Gone(Option<String>),
}

/// With the number of the connection it is about.
pub(crate) type Reports = mpsc::Sender<(u32, Report)>;

/// Everything a request needs to know.
pub(crate) struct Settings {
    pub(crate) target: Target,
    /// With slashes as the server wants them.
    pub(crate) path: String,
    /// `a=b&c=d`, or empty.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// `None`: cookies are not kept.
    pub(crate) jar: Option<Jar>,
    pub(crate) protocol: Protocol,
    pub(crate) max_message: usize,
    pub(crate) deflate: Option<deflate::Options>,
    /// For a request that is to be answered at once.
    pub(crate) request_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) dialer: Dialer,
    /// Sees everything that crosses the network.
    pub(crate) tap: Option<Tap>,
}

impl Settings {
    /// The path and the query of a request, given what the machine says.
    fn path_and_query(&self, query: &str) -> String {
        let own = if self.query.is_empty() { "" } else { "&" };
        format!("{}?{}{own}{query}", self.path, self.query)
    }

    /// The application's headers and the cookies.
    fn put_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if let Some(cookies) = self.jar.as_ref().and_then(Jar::header) {
            // After one that the application set itself: servers read both.
            headers.append(http::header::COOKIE, cookies);
        }
    }

    fn learn(&self, headers: &HeaderMap) {
        if let Some(jar) = &self.jar {
            jar.learn(headers);
        }
    }
}

/// What is going on, on the network, for one client.
pub(crate) struct Wires {
    settings: Arc<Settings>,
    polling: Polling,
    reports: Reports,
    requests: JoinSet<()>,
    websocket: Option<(mpsc::UnboundedSender<websocket::Order>, AbortHandle)>,
}

impl Wires {
    pub(crate) fn new(settings: Arc<Settings>, reports: Reports) -> Wires {
        let polling = Polling::new(Arc::clone(&settings));
        Wires { settings, polling, reports, requests: JoinSet::new(), websocket: None }
    }

    /// Does what the machine says; what comes of it is reported later.
    pub(crate) fn act(&mut self, connection: u32, wire: Wire) {
        // What has ended meanwhile.
        while self.requests.try_join_next().is_some() {}
        match wire {
            Wire::Get { query } => {
                let get = self.polling.get(&query);
                self.request(connection, false, get);
            }
            Wire::Post { query, payload } => {
                let post = self.polling.post(&query, payload);
                self.request(connection, true, post);
            }
            Wire::Dial { query } => {
                // The machine bounds what it says: one batch of frames at a time, and the next when that is written.
                let (orders, inbox) = mpsc::unbounded_channel();
                let (settings, reports) = (Arc::clone(&self.settings), self.reports.clone());
                let task = tokio::spawn(async move {
                    let life = websocket::run(&settings, &query, connection, inbox, &reports);
                    let gone = match Guarded::new(life).await {
                        Ok(gone) => gone,
                        Err(_) => Some("a defect of this client: its WebSocket panicked".to_owned()),
                    };
                    reports.send((connection, Report::Gone(gone))).await.ok();
                });
                self.websocket = Some((orders, task.abort_handle()));
            }
            Wire::Write(frames) => {
                if let Some((orders, _)) = &self.websocket {
                    orders.send(websocket::Order::Write(frames)).ok();
                }
            }
            // It says goodbye, and ends by itself.
            Wire::HangUp => drop(self.websocket.take()),
            Wire::Abandon => self.abandon(),
        }
    }

    /// Cuts everything, as a network does.
    pub(crate) fn abandon(&mut self) {
        self.requests.abort_all();
        if let Some((_, task)) = self.websocket.take() {
            task.abort();
        }
    }

    fn request(
        &mut self,
        connection: u32,
        post: bool,
        request: impl Future<Output = Result<Report, String>> + Send + 'static,
    ) {
        let reports = self.reports.clone();
        self.requests.spawn(async move {
            let report = match Guarded::new(request).await {
                Ok(Ok(report)) => report,
                Ok(Err(why)) => Report::Failed(post, why),
                Err(_) => Report::Failed(post, "a defect of this client: a request panicked".to_owned()),
            };
            reports.send((connection, report)).await.ok();
        });
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// A header from text, or why not.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bad = |what: &str| format!("{what} cannot stand in a request");
    let name = name.parse().map_err(|_| bad("this name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| bad("this value"))?;
    // Tokens and cookies: hyper then keeps them out of its own logs.
    value.set_sensitive(true);
    Ok((name, value))
}
