//! Sockets: TCP that can be listened on and connected to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// A future that a trait object returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream to another process.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens and accepts connections.
pub trait Net: Send + Sync {
    /// Listens on an address; port 0 takes any free one.
    fn listen(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to a host, by name or IP address.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Box<dyn Stream>>>;
}

/// Accepts connections.
pub trait Listener: Send + Sync {
    /// The next connection and the peer's address.
    fn accept(&self) -> Pending<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;

    /// The address that is listened on.
    ///
    /// # Errors
    /// The operating system does not tell.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// TCP of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
impl Net for Tcp {
    fn listen(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = tokio::net::TcpListener::bind(address).await?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

impl Listener for tokio::net::TcpListener {
    fn accept(&self) -> Pending<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = Self::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
