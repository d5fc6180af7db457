//! Encryption, by rustls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::error::SetupError;

/// What an application says about TLS.
#[derive(Default)]
pub(crate) struct TlsOptions {
    /// More roots, in PEM.
    pub(crate) roots: Vec<Vec<u8>>,
    /// Whether those are the only ones.
    pub(crate) only_these: bool,
    /// Our certificate chain and its key, in PEM.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) insecure: bool,
    /// All of it made by the application.
    pub(crate) config: Option<Arc<ClientConfig>>,
}

/// Encrypts streams to one server.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(host: &str, options: TlsOptions) -> Result<Tls, SetupError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| SetupError::option("URL", error))?;
        let config = match options.config {
            Some(config) => config,
            None => Arc::new(configured(&options)?),
        };
        Ok(Tls { connector: TlsConnector::from(config), name })
    }

    pub(super) async fn wrap(&self, stream: Stream) -> Result<Stream, String> {
        match self.connector.connect(self.name.clone(), stream).await {
            Ok(stream) => Ok(Stream::new(stream)),
            Err(error) => Err(format!("TLS with {}: {error}", self.name.to_str())),
        }
    }
}

fn configured(options: &TlsOptions) -> Result<ClientConfig, SetupError> {
    let bad = |what: &'static str| move |error: &dyn std::fmt::Display| SetupError::option(what, error);
    // Named, because the process may have another one as its default, or two and none.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS")(&error))?;
    let trusting = if options.insecure {
        versions.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        if !options.only_these {
            // Some of a system's roots are always unreadable; without any, the handshake says so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for pem in &options.roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| bad("root certificate")(&error))?;
                roots.add(certificate).map_err(|error| bad("root certificate")(&error))?;
            }
        }
        versions.with_root_certificates(roots)
    };
    match &options.identity {
        None => Ok(trusting.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| bad("client certificate")(&error))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad("client key")(&error))?;
            trusting.with_client_auth_cert(chain, key).map_err(|error| bad("client certificate")(&error))
        }
    }
}

/// Takes every certificate, because the application said so.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
