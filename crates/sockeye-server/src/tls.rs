//! Certificate and key from PEM files to what rustls wants.

use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::ServerConfig;

use crate::{StartError, TlsFiles};

/// Reads both files and checks that they go together.
pub(crate) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, StartError> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|all| if all.is_empty() { Err(PemError::NoItemsFound) } else { Ok(all) })
        .map_err(|error| explain("certificate", &files.certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| explain("private key", &files.key, error))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| StartError::Tls(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn explain(what: &'static str, path: &std::path::Path, error: PemError) -> StartError {
    match error {
        PemError::Io(source) => StartError::TlsFile { what, path: path.into(), source },
        _ => StartError::NoPem { what, path: path.into() },
    }
}
