//! What everything in one engine shares and what does not depend on the application.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sockeye_proto::engine::{Open, Rules, Timing, Transport};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Config;
use crate::limits::Addresses;
use crate::refused::Cause;
use crate::registry::Registry;
use crate::stats::Counters;

pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) registry: Registry,
    pub(crate) addresses: Addresses,
    pub(crate) draining: AtomicBool,
    /// Told whenever the last task ends.
    pub(crate) idle: Notify,
    epoch: Instant,
}

impl Common {
    pub(crate) fn new(config: Config) -> Self {
        Common {
            config,
            counters: Counters::default(),
            registry: Registry::new(),
            addresses: Addresses::default(),
            draining: AtomicBool::new(false),
            idle: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// The time by which the rules count.
    pub(crate) fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    pub(crate) fn instant(&self, time: Duration) -> Instant {
        // Far away but representable: about thirty years.
        self.epoch.checked_add(time).unwrap_or_else(|| self.epoch + Duration::from_secs(1_000_000_000))
    }

    pub(crate) fn allows(&self, transport: Transport) -> bool {
        self.config.transports.contains(&transport)
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            polling: self.allows(Transport::Polling),
            websocket: self.allows(Transport::WebSocket),
            allow_v3: self.config.allow_eio3,
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            upgrade_timeout: self.config.upgrade_timeout,
        }
    }

    /// The open packet's JSON.
    pub(crate) fn open(&self, sid: &str, transport: Transport) -> String {
        let upgrade = transport == Transport::Polling
            && self.config.allow_upgrades
            && self.allows(Transport::WebSocket);
        Open {
            sid,
            upgrades: if upgrade { &[Transport::WebSocket] } else { &[] },
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: self.config.max_payload as u64,
        }
        .to_json()
    }

    // ---- places -------------------------------------------------------------------------------------------------

    /// Takes a place for one more session, or says why there is none.
    pub(crate) fn admit(self: &Arc<Self>, counted: Option<IpAddr>) -> Result<Place, Cause> {
        if self.draining.load(Relaxed) {
            return Err(Cause::Draining);
        }
        // Counted first and looked at after, so that two at once cannot both take the last place.
        let mut place = Place { common: self.clone(), counted: None, kept: false };
        let sessions = self.counters.sessions.fetch_add(1, Relaxed);
        let unsettled = self.counters.unsettled.fetch_add(1, Relaxed);
        if self.config.max_sessions.is_some_and(|max| sessions >= max) {
            return Err(Cause::Full);
        }
        if unsettled >= self.config.max_unsettled {
            return Err(Cause::Unsettled);
        }
        if let Some(ip) = counted {
            self.addresses.admit(ip, &self.config)?;
        }
        place.counted = counted;
        Ok(place)
    }

    /// A session has settled.
    pub(crate) fn settled(&self, counted: Option<IpAddr>) {
        self.counters.unsettled.fetch_sub(1, Relaxed);
        if let Some(ip) = counted {
            self.addresses.settled(ip);
        }
    }

    /// A session gives up its place.
    pub(crate) fn left(&self, id: &str, counted: Option<IpAddr>, unsettled: bool) {
        self.registry.remove(id);
        self.vacate(counted, unsettled);
    }

    pub(crate) fn vacate(&self, counted: Option<IpAddr>, unsettled: bool) {
        self.counters.sessions.fetch_sub(1, Relaxed);
        if unsettled {
            self.counters.unsettled.fetch_sub(1, Relaxed);
        }
        if let Some(ip) = counted {
            self.addresses.gone(ip, unsettled);
        }
    }
}

/// A place for one session, given back when dropped unless a session took it.
pub(crate) struct Place {
    common: Arc<Common>,
    counted: Option<IpAddr>,
    kept: bool,
}

impl Place {
    /// A session has it now, and gives it back itself.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            self.common.vacate(self.counted, true);
        }
    }
}

/// Counts a task of the engine for as long as it lives.
pub(crate) struct Alive(pub(crate) Arc<Common>);

impl Alive {
    pub(crate) fn new(common: &Arc<Common>) -> Self {
        common.counters.tasks.fetch_add(1, Relaxed);
        Alive(common.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.0.counters.tasks.fetch_sub(1, Relaxed) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
