//! What the kernel says about the server process: resident memory and processor time.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A contract server as a child process; dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Resident bytes of this process.
pub(crate) fn own_resident() -> Result<u64> {
    resident("self")
}

/// Processor time of this process, user and kernel.
pub(crate) fn own_processor() -> Result<Duration> {
    let (user, system) = processor("self")?;
    Ok(user + system)
}

impl Server {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = Command::new(binary)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let server = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!("the server does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(&self.child.id().to_string())
    }

    /// Processor time in user mode and in the kernel.
    pub(crate) fn processor(&self) -> Result<(Duration, Duration)> {
        processor(&self.child.id().to_string())
    }
}

fn resident(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}

fn processor(process: &str) -> Result<(Duration, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks = rustix::param::clock_ticks_per_second();
    let time = |index: usize| -> Result<Duration> {
        let count: u64 = fields.get(index).context("stat field")?.parse()?;
        Ok(Duration::from_nanos(count * 1_000_000_000 / ticks))
    };
    Ok((time(11)?, time(12)?))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
