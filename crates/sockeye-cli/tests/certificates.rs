//! `sockeye doctor` at servers whose certificates are not in order, each in its own way: the cause is named.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A chain: root, intermediate, and a leaf that `change` may make special.
struct Chain {
    root: Certificate,
    intermediate: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    _directory: tempfile::TempDir,
    /// PEM file of the root.
    ca: PathBuf,
}

impl Chain {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Chain {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params, KeyPair::generate().unwrap())
        };
        let (params, key) = authority("The Root");
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let (params, key) = authority("The Intermediate");
        let intermediate = params.signed_by(&key, &issuer).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "The Leaf");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap().der().clone();
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("root.pem");
        std::fs::write(&ca, root.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Chain { root, intermediate, leaf, key, _directory: directory, ca }
    }

    fn whole(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.clone(), self.intermediate.clone()]
    }
}

/// Whether a secret reached a server that showed a certificate which is not valid.
static LEAKED: AtomicBool = AtomicBool::new(false);

/// An HTTPS server that shows these certificates, and answers everything with a handshake and this `Date`.
fn serve(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>, date: SystemTime) -> SocketAddr {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.clone_key())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let body = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        httpdate::fmt_http_date(date),
        body.len()
    );
    let (sender, receiver) = std::sync::mpsc::channel();
    // It ends with the process of the test.
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = [0; 4096];
                    let Ok(count) = stream.read(&mut request).await else { return };
                    assert!(
                        !String::from_utf8_lossy(&request[..count]).contains("canary"),
                        "a secret was sent"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
    });
    receiver.recv().unwrap()
}

/// The first cause that the doctor names, and everything it says.
fn examine(address: SocketAddr, host: &str, ca: Option<&Path>, more: &[&str]) -> (String, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(["doctor", "--json", "--timeout", "5"]);
    if !more.contains(&"--insecure") {
        command.args(["--header", "Authorization: canary"]);
    }
    command.arg(format!("https://{host}:{}", address.port())).args(more);
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let output = command.output().unwrap();
    assert!(!LEAKED.load(Ordering::SeqCst), "a secret was sent to a server that nobody vouches for");
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report["findings"][0]["cause"].as_str().unwrap_or("none").to_owned(), report)
}

fn step(report: &serde_json::Value, name: &str) -> String {
    let steps = report["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["name"] == name);
    found.map(|step| step["outcome"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn a_chain_in_order_is_trusted() {
    let chain = Chain::new(|_| {});
    let address = serve(chain.whole(), &chain.key, SystemTime::now());
    // The secret may go to a server that is trusted; this one does not take it, so none is given.
    let output = Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["doctor", "--json", "--timeout", "5", "--transport", "polling", "--ca"])
        .arg(&chain.ca)
        .arg(format!("https://localhost:{}", address.port()))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(step(&report, "tls"), "good", "{report:#}");
    assert_eq!(step(&report, "handshake"), "good", "{report:#}");
}

#[test]
fn expired() {
    let chain = Chain::new(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let address = serve(chain.whole(), &chain.key, SystemTime::now());
    let (cause, report) = examine(address, "localhost", Some(&chain.ca), &[]);
    assert_eq!(cause, "certificate-expired", "{report:#}");
    assert!(report["findings"][0]["what"].as_str().unwrap().contains("The Leaf"), "{report:#}");
    assert!(report["findings"][0]["seen"].to_string().contains("01 Jan 2021"), "{report:#}");
}

#[test]
fn not_yet_valid_and_clocks_that_differ() {
    let chain = Chain::new(|params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    let address = serve(chain.whole(), &chain.key, SystemTime::now());
    assert_eq!(examine(address, "localhost", Some(&chain.ca), &[]).0, "certificate-not-yet-valid");
    // By the server's own clock it is valid: then the clocks are what is wrong.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(3_802_000_000);
    let address = serve(chain.whole(), &chain.key, date);
    let (cause, report) = examine(address, "localhost", Some(&chain.ca), &[]);
    assert_eq!(cause, "clock-skew", "{report:#}");
    assert_eq!(report["verdict"], "broken");
}

#[test]
fn wrong_host() {
    let chain = Chain::new(|_| {});
    let address = serve(chain.whole(), &chain.key, SystemTime::now());
    let (cause, report) = examine(address, "127.0.0.1", Some(&chain.ca), &[]);
    assert_eq!(cause, "certificate-wrong-host", "{report:#}");
    assert!(report["findings"][0]["seen"].to_string().contains("it is for localhost"), "{report:#}");
}

#[test]
fn self_signed() {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Myself");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let address = serve(vec![certificate], &key, SystemTime::now());
    let chain = Chain::new(|_| {});
    let (cause, report) = examine(address, "localhost", Some(&chain.ca), &[]);
    assert_eq!(cause, "certificate-self-signed", "{report:#}");
    // Who knows what it is may go on.
    let (_, report) =
        examine(address, "localhost", Some(&chain.ca), &["--insecure", "--transport", "websocket"]);
    assert_eq!(step(&report, "tls"), "poor", "{report:#}");
}

#[test]
fn missing_intermediate() {
    let chain = Chain::new(|_| {});
    let address = serve(vec![chain.leaf.clone()], &chain.key, SystemTime::now());
    let (cause, report) = examine(address, "localhost", Some(&chain.ca), &[]);
    assert_eq!(cause, "missing-intermediate", "{report:#}");
    assert!(report["findings"][0]["what"].as_str().unwrap().contains("The Intermediate"), "{report:#}");
    assert!(report["findings"][0]["fix"].to_string().contains("fullchain.pem"), "{report:#}");
}

#[test]
fn unknown_authority() {
    let chain = Chain::new(|_| {});
    let other = Chain::new(|_| {});
    let mut whole = chain.whole();
    whole.push(chain.root.der().clone());
    let address = serve(whole, &chain.key, SystemTime::now());
    let (cause, report) = examine(address, "localhost", Some(&other.ca), &[]);
    assert_eq!(cause, "certificate-unknown-ca", "{report:#}");
}

#[test]
fn tls_where_http_was_asked_for() {
    let chain = Chain::new(|_| {});
    let address = serve(chain.whole(), &chain.key, SystemTime::now());
    let output = Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["doctor", "--json", "--timeout", "2"])
        .arg(format!("http://localhost:{}", address.port()))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["cause"], "tls-expected", "{report:#}");
    assert_eq!(output.status.code(), Some(1));
}
