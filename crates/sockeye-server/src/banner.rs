//! What the server says about itself when it starts.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::Config;

/// The banner, several lines without a last line feed. `open_files` is the limit in force, `None` for none.
pub(crate) fn text(config: &Config, address: SocketAddr, open_files: Option<u64>) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let origin = format!("{scheme}://{}", SocketAddr::new(reachable(address.ip()), address.port()));
    let path = config.path.trim_end_matches('/');
    let mut text = format!("Sockeye {}\n\n", env!("CARGO_PKG_VERSION"));
    if config.serves_demo() {
        let _ = writeln!(text, "  chat demo    {origin}/");
    }
    let _ = writeln!(text, "  Socket.IO    {origin}{path}/");
    if config.client {
        let _ = writeln!(text, "  client       {origin}{path}/socket.io.min.js");
    }
    let _ = writeln!(text, "  health       {origin}/healthz   {origin}/readyz");
    if let Some(cluster) = &config.cluster {
        let _ = writeln!(text, "  cluster      {cluster}");
    }
    if address.ip().is_unspecified() {
        let _ = writeln!(text, "  listening    on every interface, port {}", address.port());
    }
    if !config.host.is_loopback() && config.client && config.demo.is_none() {
        let _ = writeln!(
            text,
            "  no demo      beyond loopback anybody could join it; --demo serves it all the same"
        );
    }
    let _ = match open_files {
        Some(limit) => {
            write!(text, "  open files   {limit}, so at most about {} clients", limit.saturating_sub(32))
        }
        None => write!(text, "  open files   unlimited"),
    };
    text
}

/// An address a browser on this machine can open.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_it_leads_to_the_demo() {
        let text = text(&Config::default(), "127.0.0.1:3000".parse().unwrap(), Some(1024));
        assert!(text.contains("http://127.0.0.1:3000/\n"), "{text}");
        assert!(text.contains("http://127.0.0.1:3000/socket.io/socket.io.min.js"), "{text}");
        assert!(text.contains("1024"), "{text}");
    }

    #[test]
    fn without_the_client_there_is_no_demo() {
        let config = Config { client: false, ..Config::default() };
        let text = text(&config, "127.0.0.1:3000".parse().unwrap(), None);
        assert!(!text.contains("demo") && !text.contains("min.js"), "{text}");
    }

    #[test]
    fn beyond_loopback_it_says_why_there_is_no_demo() {
        let config = Config { host: "0.0.0.0".parse().unwrap(), ..Config::default() };
        let shown = text(&config, "0.0.0.0:80".parse().unwrap(), None);
        assert!(shown.contains("--demo") && !shown.contains("chat demo"), "{shown}");
        let shown = text(&Config { demo: Some(true), ..config }, "0.0.0.0:80".parse().unwrap(), None);
        assert!(shown.contains("chat demo    http://127.0.0.1:80/"), "{shown}");
    }
}
