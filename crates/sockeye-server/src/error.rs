//! Why the server could not start. Each in one line that names the cause and the way out.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why [`run`](crate::run) could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process listens on the address.
    #[error("{0} is in use by another process; stop it, or choose another port with --port")]
    AddressInUse(SocketAddr),
    /// The port needs a privilege, usually because it is below 1024.
    #[error(
        "no permission to listen on {0}; choose a port above 1023 with --port, or grant CAP_NET_BIND_SERVICE"
    )]
    NoPermission(SocketAddr),
    /// The address is not one of this machine's.
    #[error("{0} is not an address of this machine; choose one with --host, 0.0.0.0 for all of them")]
    NoSuchAddress(SocketAddr),
    /// Listening failed for another reason.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// A TLS file could not be read.
    #[error("the {what} {path:?} cannot be read")]
    TlsFile {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A TLS file has the wrong content.
    #[error("{path:?} holds no {what} in PEM form")]
    NoPem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not go together, or are not usable.
    #[error("certificate and private key cannot be used: {0}")]
    Tls(String),
    /// TLS files were given to a build without TLS.
    #[error("this build has no TLS; build sockeye-server with its `tls` feature")]
    NoTls,
    /// A setting does not make sense.
    #[error("{0}")]
    Settings(String),
    /// The system does not let the process hear signals.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
}
