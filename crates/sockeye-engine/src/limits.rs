//! Who may open a session, by numbers: in all, per address, and per second.
//!
//! Addresses behind which many clients may stand (loopback, private networks: a proxy, most likely) are counted
//! only if the configuration says how to find the real one. Never keeps an address without sessions for long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Config;
use crate::refused::Cause;

/// Sessions and recent handshakes by address.
#[derive(Default)]
pub(crate) struct Addresses {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    addresses: HashMap<IpAddr, Address>,
    /// How many there were after the last tidying. The next one is due when there are twice as many: so its cost is
    /// shared by as many handshakes as it looks at addresses.
    tidied: usize,
}

#[derive(Default)]
struct Address {
    sessions: usize,
    unsettled: usize,
    bucket: Option<Bucket>,
}

/// A token bucket: handshakes left, as of a moment.
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The largest number of addresses remembered only for their rate. When there are more, the full buckets go.
const REMEMBERED: usize = 16_384;

impl Addresses {
    /// Counts a handshake from `ip`: the rate, and room for one more session that is not settled.
    pub(crate) fn admit(&self, ip: IpAddr, config: &Config) -> Result<(), Cause> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if table.addresses.len() > REMEMBERED.max(2 * table.tidied) {
            let full =
                |one: &Address| one.bucket.as_ref().is_none_or(|b| b.level(now, config) >= burst(config));
            table.addresses.retain(|_, one| one.sessions > 0 || !full(one));
            table.tidied = table.addresses.len();
        }
        let address = table.addresses.entry(ip).or_default();
        if config.handshake_rate.is_some() {
            let bucket = address.bucket.get_or_insert(Bucket { tokens: burst(config), at: now });
            *bucket = Bucket { tokens: bucket.level(now, config), at: now };
            if bucket.tokens < 1.0 {
                return Err(Cause::TooFast);
            }
            bucket.tokens -= 1.0;
        }
        if config.max_sessions_per_ip.is_some_and(|max| address.sessions >= max) {
            return Err(Cause::FullForAddress);
        }
        if address.unsettled >= config.max_unsettled_per_ip {
            return Err(Cause::UnsettledForAddress);
        }
        address.sessions += 1;
        address.unsettled += 1;
        Ok(())
    }

    /// A session from `ip` has settled.
    pub(crate) fn settled(&self, ip: IpAddr) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = table.addresses.get_mut(&ip) {
            address.unsettled = address.unsettled.saturating_sub(1);
        }
    }

    /// A session from `ip` is gone.
    pub(crate) fn gone(&self, ip: IpAddr, was_unsettled: bool) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = table.addresses.get_mut(&ip) {
            address.sessions = address.sessions.saturating_sub(1);
            address.unsettled = address.unsettled.saturating_sub(usize::from(was_unsettled));
            if address.sessions == 0 && address.bucket.is_none() {
                table.addresses.remove(&ip);
            }
        }
    }
}

impl Bucket {
    fn level(&self, now: Instant, config: &Config) -> f64 {
        let rate = config.handshake_rate.map_or(0.0, |(rate, _)| f64::from(rate));
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(burst(config))
    }
}

fn burst(config: &Config) -> f64 {
    config.handshake_rate.map_or(0.0, |(_, burst)| f64::from(burst.max(1)))
}

/// The address that a client is counted under, if it is counted at all.
pub(crate) fn counted(ip: Option<IpAddr>, config: &Config) -> Option<IpAddr> {
    let ip = ip?.to_canonical();
    let shared = match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    };
    if shared && config.client_ip.is_none() {
        return None;
    }
    Some(match ip {
        IpAddr::V4(_) => ip,
        // One subscriber usually has a whole /64.
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    })
}

/// What a refused client is told to wait: long enough to matter, short enough for a person.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_refills() {
        let config = Config { handshake_rate: Some((2, 3)), ..Config::default() };
        let addresses = Addresses::default();
        let one = ip("203.0.113.1");
        for _ in 0..3 {
            assert_eq!(addresses.admit(one, &config), Ok(()));
        }
        assert_eq!(addresses.admit(one, &config), Err(Cause::TooFast));
        assert_eq!(addresses.admit(ip("203.0.113.2"), &config), Ok(()));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(addresses.admit(one, &config), Ok(()));
        assert_eq!(addresses.admit(one, &config), Err(Cause::TooFast));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_counted_until_they_settle_and_until_they_go() {
        let config = Config {
            max_unsettled_per_ip: 1,
            max_sessions_per_ip: Some(2),
            handshake_rate: None,
            ..Config::default()
        };
        let addresses = Addresses::default();
        let one = ip("203.0.113.1");
        assert_eq!(addresses.admit(one, &config), Ok(()));
        assert_eq!(addresses.admit(one, &config), Err(Cause::UnsettledForAddress));
        addresses.settled(one);
        assert_eq!(addresses.admit(one, &config), Ok(()));
        assert_eq!(addresses.admit(one, &config), Err(Cause::FullForAddress));
        addresses.gone(one, false);
        addresses.gone(one, true);
        assert!(addresses.table.lock().unwrap().addresses.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_are_not_gone_through_for_each_handshake() {
        let config = Config::default();
        let addresses = Addresses::default();
        let one = |n: u32| IpAddr::V4((0xC000_0000 + n).into());
        let tidied = || addresses.table.lock().unwrap().tidied;
        let count = REMEMBERED as u32 + 1;
        for n in 0..=count {
            assert_eq!(addresses.admit(one(n), &config), Ok(()));
        }
        assert_eq!(tidied(), REMEMBERED + 1, "all have sessions, so none can go");
        for n in 0..=count {
            addresses.gone(one(n), true);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        for n in count + 1..=2 * count + 1 {
            assert_eq!(tidied(), REMEMBERED + 1, "{n}");
            assert_eq!(addresses.admit(one(n), &config), Ok(()));
        }
        assert_eq!(addresses.admit(one(0), &config), Ok(()));
        assert!(addresses.table.lock().unwrap().addresses.len() <= count as usize + 2);
    }

    #[test]
    fn proxies_are_not_taken_for_one_client() {
        let config = Config::default();
        for shared in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"] {
            assert_eq!(counted(Some(ip(shared)), &config), None, "{shared}");
        }
        assert_eq!(counted(Some(ip("2001:db8:1:2:3::4")), &config), Some(ip("2001:db8:1:2::")));
        let trusting = Config { client_ip: Some(std::sync::Arc::new(|_, _| None)), ..Config::default() };
        assert_eq!(counted(Some(ip("127.0.0.1")), &trusting), Some(ip("127.0.0.1")));
    }
}
