//! A server's certificates: taken whatever they are, judged, and explained.
//!
//! The judgement is rustls's own. What is read here beside it only chooses words, never trust.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::report::Finding;

/// Takes every certificate, and remembers it with rustls's verdict.
#[derive(Debug)]
pub(super) struct Witness {
    /// `None` without a single root.
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Seen>>,
}

/// What a server showed, and what rustls says of it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    chain: Vec<CertificateDer<'static>>,
    pub(super) verdict: Result<(), Error>,
}

impl Witness {
    /// With the system's roots and those of a file.
    pub(super) fn new(ca: Option<&Path>) -> anyhow::Result<Arc<Witness>> {
        let mut roots = RootCertStore::empty();
        // What cannot be read of the system's is left out, as every client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            let shown = path.display();
            for certificate in CertificateDer::pem_file_iter(path).with_context(|| format!("--ca {shown}"))? {
                let certificate = certificate.with_context(|| format!("--ca {shown}"))?;
                roots.add(certificate).with_context(|| format!("--ca {shown}"))?;
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let judge =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        Ok(Arc::new(Witness { judge, provider, seen: Mutex::new(None) }))
    }

    /// The way to connect with this witness looking on.
    pub(super) fn config(self: &Arc<Self>) -> anyhow::Result<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth();
        // A resumed session would show no certificate.
        config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Whether there is anything that can be trusted.
    pub(super) fn has_roots(&self) -> bool {
        self.judge.is_some()
    }

    /// What the last connection showed.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.judge {
            Some(judge) => judge.verify_server_cert(leaf, others, name, ocsp, now).map(drop),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let chain = std::iter::once(leaf).chain(others).map(|one| one.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { chain, verdict });
        // Whoever asked for this connection looks at the verdict before saying anything worth keeping.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What words need of a certificate.
struct Facts {
    subject: String,
    issuer: String,
    names: Vec<String>,
    begins: SystemTime,
    ends: SystemTime,
    own: bool,
}

impl Facts {
    fn read(der: &CertificateDer<'_>) -> Option<Facts> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let time = |seconds: i64| {
            let since = Duration::from_secs(seconds.unsigned_abs());
            (if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) })
                .unwrap_or(UNIX_EPOCH)
        };
        let names = certificate.subject_alternative_name().ok().flatten().map(|extension| {
            let name = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
                GeneralName::IPAddress(bytes) => {
                    Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string())
                }
                _ => None,
            };
            extension.value.general_names.iter().filter_map(name).take(20).collect()
        });
        Some(Facts {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names.unwrap_or_default(),
            begins: time(certificate.validity().not_before.timestamp()),
            ends: time(certificate.validity().not_after.timestamp()),
            own: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }

    fn line(&self) -> String {
        let days = |until: Duration| until.as_secs() / 86_400;
        let left = match self.ends.duration_since(SystemTime::now()) {
            Ok(left) => format!("{} more days", days(left)),
            Err(past) => format!("over for {} days", days(past.duration())),
        };
        let own = if self.own { ", signed by itself" } else { "" };
        format!("{:?} by {:?}, {left}{own}", self.subject, self.issuer)
    }
}

impl Seen {
    /// Each certificate in a line, for the record.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(at, der)| match Facts::read(der) {
            Some(facts) => format!("certificate {at}: {}", facts.line()),
            None => format!("certificate {at}: not readable"),
        };
        self.chain.iter().enumerate().take(10).map(line).collect()
    }

    /// Whose it is and how long it lasts, in a few words.
    pub(super) fn summary(&self) -> String {
        match self.chain.first().and_then(Facts::read) {
            Some(facts) => facts.line(),
            None => "a certificate".to_owned(),
        }
    }

    /// The cause behind a verdict that is no good. `date` is the server's clock, if it told.
    pub(super) fn explain(&self, host: &str, date: Option<SystemTime>) -> Option<Finding> {
        let error = self.verdict.as_ref().err()?;
        let facts: Vec<Facts> = self.chain.iter().filter_map(Facts::read).collect();
        let now = SystemTime::now();
        let finding = match error {
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => {
                let over = facts.iter().find(|facts| facts.ends < now);
                out_of_time("certificate-expired", "expired", over, date, now)
            }
            Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => {
                let early = facts.iter().find(|facts| facts.begins > now);
                out_of_time("certificate-not-yet-valid", "not valid yet", early, date, now)
            }
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => wrong_host(facts.first(), host),
            error => untrusted(&facts, error),
        };
        Some(self.lines().into_iter().fold(finding, Finding::seen))
    }
}

/// Expired or not valid yet; or else a clock is wrong.
fn out_of_time(
    cause: &'static str,
    how: &str,
    whose: Option<&Facts>,
    date: Option<SystemTime>,
    now: SystemTime,
) -> Finding {
    let span = whose.map(|facts| (facts.begins, facts.ends));
    // By the server's clock all is well: then one of the two clocks is wrong, and most likely ours.
    if let (Some((begins, ends)), Some(date)) = (span, date)
        && (begins..ends).contains(&date)
    {
        return Finding::broken(
            "clock-skew",
            "The certificate is valid by the server's clock, but not by the clock of this machine.",
        )
        .seen(format!("clocks: {}", clocks(date, now)))
        .fix("set this machine's clock: turn NTP on (timedatectl set-ntp true), then try again")
        .fix("if this machine is right, set the server's clock and renew its certificate");
    }
    let (subject, span) = match whose {
        Some(facts) => (
            format!("{:?}", facts.subject),
            format!(
                "valid from {} to {}",
                httpdate::fmt_http_date(facts.begins),
                httpdate::fmt_http_date(facts.ends)
            ),
        ),
        None => ("the server".to_owned(), "valid at another time".to_owned()),
    };
    Finding::broken(cause, format!("The certificate of {subject} is {how}."))
        .seen(format!("{span}; this machine's clock says {}", httpdate::fmt_http_date(now)))
        .fix("renew it (certbot renew, or whatever issued it), and reload the server or the proxy that shows it")
}

fn wrong_host(leaf: Option<&Facts>, host: &str) -> Finding {
    let names = leaf.map(|facts| facts.names.join(", ")).filter(|names| !names.is_empty());
    Finding::broken("certificate-wrong-host", format!("The certificate is not for {host:?}."))
        .seen(format!(
            "it is for {}",
            names.unwrap_or_else(|| "no name at all (no subjectAltName)".to_owned())
        ))
        .fix("connect by one of the names it is for")
        .fix(format!("or have one issued that names {host}; check that the proxy picks it by SNI"))
}

fn untrusted(facts: &[Facts], error: &Error) -> Finding {
    if !matches!(error, Error::InvalidCertificate(_)) || facts.is_empty() {
        return Finding::broken("certificate-invalid", format!("The certificate is not accepted: {error}."))
            .fix("have it issued anew by a tool that knows today's rules");
    }
    let trust = "if that is meant so, trust it: --ca FILE here, NODE_EXTRA_CA_CERTS=FILE for Node, the system's \
                 store for browsers";
    // From the leaf upward, as far as what was sent reaches. Each is used once: a chain may be a circle.
    let mut top = &facts[0];
    let mut left: Vec<&Facts> = facts[1..].iter().collect();
    while !top.own {
        let Some(at) = left.iter().position(|other| other.subject == top.issuer) else { break };
        top = left.swap_remove(at);
    }
    if facts[0].own {
        return Finding::broken(
            "certificate-self-signed",
            "The certificate is signed by itself, and nobody trusts it.",
        )
        .fix("get one from an authority (Let's Encrypt is free)")
        .fix(trust);
    }
    if top.own {
        return Finding::broken(
            "certificate-unknown-ca",
            format!("The certificate is issued by {:?}, which this machine does not trust.", top.subject),
        )
        .fix("get one from an authority that clients know")
        .fix(trust);
    }
    if matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer)) {
        return Finding::broken(
            "missing-intermediate",
            format!(
                "The server sent {} of its chain, and the next, {:?}, is missing: it is not sent and not among the \
                 roots of this machine.",
                match facts.len() {
                    1 => "one certificate".to_owned(),
                    count => format!("{count} certificates"),
                },
                top.issuer
            ),
        )
        .fix("let the server or proxy send the whole chain: fullchain.pem instead of cert.pem (nginx ssl_certificate, \
              haproxy crt, sockeye --tls-cert)")
        .fix(format!("if {:?} is an authority of your own, give its certificate with --ca FILE", top.issuer));
    }
    Finding::broken("certificate-invalid", format!("The certificate is not accepted: {error}."))
        .fix("have it issued anew by a tool that knows today's rules")
}

/// Both clocks, for people.
pub(super) fn clocks(server: SystemTime, ours: SystemTime) -> String {
    format!(
        "the server says {}, this machine {}",
        httpdate::fmt_http_date(server),
        httpdate::fmt_http_date(ours)
    )
}
