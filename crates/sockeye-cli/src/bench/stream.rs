//! One non-blocking connection, plain or TLS, from a source address of our choice.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes to and from one server.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

pub(super) struct Tls {
    socket: TcpStream,
    session: ClientConnection,
}

/// How connections are made.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// How many addresses of 127/8 the connections come from in turn; 0: whatever the system takes.
    pub(super) sources: u16,
}

impl Route {
    /// Begins to connect. `turn` chooses the source address; `narrow` asks for the smallest receive buffer, for
    /// clients that do not read.
    pub(super) fn connect(&self, turn: usize, narrow: bool) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        if self.sources > 0 {
            // 127.0.1.1 onward: a server on loopback sees different addresses, and each has its own 28,000 ports.
            let number = turn % usize::from(self.sources);
            let source = Ipv4Addr::new(127, 0, 1 + (number / 250) as u8, 1 + (number % 250) as u8);
            socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        }
        match socket.connect(&self.address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        let socket = TcpStream::from_std(socket.into());
        Ok(match &self.tls {
            None => Stream::Plain(socket),
            Some((config, name)) => {
                let session =
                    ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
                Stream::Tls(Box::new(Tls { socket, session }))
            }
        })
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

impl Stream {
    /// For registering.
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &mut tls.socket,
        }
    }

    /// Whether the connection stands; an error is why it never will.
    pub(super) fn is_connected(&mut self) -> io::Result<bool> {
        let socket = self.socket();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected || is_under_way(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a read that did not fill the buffer took all there was. On Linux the socket reports anew when more
    /// comes, so the read that would say "nothing" is spared.
    pub(super) fn short_read_is_last(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Self::Plain(_))
    }

    /// `Ok(0)` is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => loop {
                match tls.session.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // A peer that ends TLS without a goodbye has ended all the same.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    other => return other,
                }
                let read = tls.session.read_tls(&mut tls.socket)?;
                tls.session.process_new_packets().map_err(io::Error::other)?;
                tls.send()?;
                if read == 0 {
                    return Ok(0);
                }
            },
        }
    }

    /// Takes as many bytes as fit.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => {
                let taken = tls.session.writer().write(bytes)?;
                tls.send()?;
                if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
            }
        }
    }

    /// Goes on with what TLS holds back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.send(),
        }
    }
}

impl Tls {
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Not connected yet: the readiness that says so brings us here again.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
