//! Waking up at a moment. epoll counts in milliseconds, and an open loop of 5,000 events a second needs better; a busy
//! loop would hide what the generator costs. On Linux a timer of the kernel wakes the poll; elsewhere its timeout does.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// The most a poll without anything to wait for sleeps.
const LONGEST: Duration = Duration::from_millis(250);

#[cfg(target_os = "linux")]
pub(super) struct Timer {
    descriptor: std::os::fd::OwnedFd,
    set: Option<u64>,
}

#[cfg(target_os = "linux")]
impl Timer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let source = descriptor.as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&source), token, mio::Interest::READABLE)?;
        Ok(Self { descriptor, set: None })
    }

    /// How long the next poll may wait, given when something is due next.
    pub(super) fn until(&mut self, due: Option<u64>, now: u64) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let Some(due) = due else { return Ok(LONGEST) };
        if due <= now {
            return Ok(Duration::ZERO);
        }
        let wait = Duration::from_nanos(due - now);
        if wait >= LONGEST {
            return Ok(LONGEST);
        }
        if self.set != Some(due) {
            let value = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as _ };
            let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let times = Itimerspec { it_interval: interval, it_value: value };
            timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &times)?;
            self.set = Some(due);
        }
        Ok(LONGEST)
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn until(&mut self, due: Option<u64>, now: u64) -> io::Result<Duration> {
        Ok(due.map_or(LONGEST, |due| Duration::from_nanos(due.saturating_sub(now)).min(LONGEST)))
    }
}
