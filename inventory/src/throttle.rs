//! Slowing down whoever guesses passwords.
//!
//! Not by address alone: a class sits behind one address, and thirty people may mistype. Not by account alone: then a pupil
//! could lock the admin out by guessing. So failures are counted for the pair of both, strictly; for the address and for the
//! account, loosely; and an address from which somebody signed in lately is not held to the account's count.
//!
//! An attempt counts as failed from its start until it is known to have succeeded, so that many at once gain nothing.

use crate::UnixMillis;
use std::collections::HashMap;
use std::hash::Hash;

/// Failed sign-ins of the last minutes, by account and by the place that they come from: an IP address, or the card of a device.
pub struct Throttle<P> {
    pairs: HashMap<(String, P), Window>,
    accounts: HashMap<String, Window>,
    addresses: HashMap<P, Window>,
    trusted: HashMap<(String, P), UnixMillis>,
    tokens: HashMap<P, Window>,
}

/// Failures since a moment.
#[derive(Clone, Copy)]
struct Window {
    since: UnixMillis,
    failures: u32,
}

impl<P> Default for Throttle<P> {
    fn default() -> Self {
        Self {
            pairs: HashMap::new(),
            accounts: HashMap::new(),
            addresses: HashMap::new(),
            trusted: HashMap::new(),
            tokens: HashMap::new(),
        }
    }
}

impl<P: Copy + Eq + Hash> Throttle<P> {
    /// Counts an attempt, or says how many seconds to wait.
    pub fn attempt(&mut self, now: UnixMillis, account: &str, address: P) -> Result<(), u64> {
        self.forget(now);
        let account = key(account);
        let pair = (account.clone(), address);
        let trusted = self.trusted.contains_key(&pair);
        let waits = [
            wait(now, self.pairs.get(&pair), PAIR_MAX),
            wait(now, self.addresses.get(&address), ADDRESS_MAX),
            if trusted { 0 } else { wait(now, self.accounts.get(&account), ACCOUNT_MAX) },
        ];
        let longest = waits.into_iter().max().unwrap_or(0);
        if longest > 0 {
            return Err(longest);
        }
        count(&mut self.pairs, pair, now);
        count(&mut self.addresses, address, now);
        count(&mut self.accounts, account, now);
        Ok(())
    }

    /// Takes the attempt back: it was the right password.
    pub fn succeeded(&mut self, now: UnixMillis, account: &str, address: P) {
        let pair = (key(account), address);
        self.pairs.remove(&pair);
        take_back(&mut self.addresses, &address);
        take_back(&mut self.accounts, &pair.0);
        if self.trusted.len() < ENTRIES_MAX {
            self.trusted.insert(pair, now);
        }
    }

    /// Counts a token that was refused, or says how many seconds to wait. Good tokens are never asked about here: what others behind
    /// the same address try does not touch them, and 238 random bits cannot be guessed however often somebody tries.
    pub fn bad_token(&mut self, now: UnixMillis, address: P) -> Option<u64> {
        trim(&mut self.tokens, now);
        let wait = wait(now, self.tokens.get(&address), ADDRESS_MAX);
        if wait == 0 {
            count(&mut self.tokens, address, now);
        }
        Some(wait).filter(|secs| *secs > 0)
    }

    /// Drops what is over. When a map is full all the same, its oldest half goes: memory stays bounded, and whoever fills it
    /// with made-up names is held by the count of the address.
    fn forget(&mut self, now: UnixMillis) {
        trim(&mut self.pairs, now);
        trim(&mut self.accounts, now);
        trim(&mut self.addresses, now);
        if self.trusted.len() >= ENTRIES_MAX {
            self.trusted.retain(|_, at| now.millis_since(*at) < TRUST_MILLIS);
        }
    }
}

/// Names are compared as the inventory compares them; long ones are cut, since no account has one.
fn key(account: &str) -> String {
    account.trim().to_lowercase().chars().take(60).collect()
}

fn wait(now: UnixMillis, window: Option<&Window>, max: u32) -> u64 {
    let Some(window) = window.filter(|w| w.failures >= max) else { return 0 };
    u64::try_from(WINDOW_MILLIS - now.millis_since(window.since)).unwrap_or(0).div_ceil(1000)
}

fn count<K: Hash + Eq>(map: &mut HashMap<K, Window>, key: K, now: UnixMillis) {
    map.entry(key).or_insert(Window { since: now, failures: 0 }).failures += 1;
}

fn take_back<K: Hash + Eq>(map: &mut HashMap<K, Window>, key: &K) {
    if let Some(window) = map.get_mut(key) {
        window.failures = window.failures.saturating_sub(1);
    }
}

fn trim<K: Hash + Eq>(map: &mut HashMap<K, Window>, now: UnixMillis) {
    map.retain(|_, w| (0..WINDOW_MILLIS).contains(&now.millis_since(w.since)));
    if map.len() >= ENTRIES_MAX {
        let mut ages: Vec<i64> = map.values().map(|w| w.since.0).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        map.retain(|_, w| w.since.0 > median);
    }
}

/// Failures are counted for five minutes from the first one.
const WINDOW_MILLIS: i64 = 5 * 60 * 1000;
const PAIR_MAX: u32 = 6;
const ADDRESS_MAX: u32 = 60;
const ACCOUNT_MAX: u32 = 60;
const TRUST_MILLIS: i64 = 30 * 24 * 3600 * 1000;
const ENTRIES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(secs: i64) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + secs * 1000)
    }

    fn address(n: u16) -> IpAddr {
        IpAddr::from([10, 0, (n >> 8) as u8, n as u8])
    }

    #[test]
    fn the_seventh_wrong_password_has_to_wait_and_only_there() {
        let mut throttle = Throttle::default();
        for n in 0..6 {
            assert_eq!(throttle.attempt(at(n), "Admin", address(1)), Ok(()));
        }
        assert_eq!(throttle.attempt(at(6), " admin", address(1)), Err(294));
        assert_eq!(throttle.attempt(at(6), "admin", address(2)), Ok(()));
        assert_eq!(throttle.attempt(at(6), "sekretariat", address(1)), Ok(()));
        assert_eq!(throttle.attempt(at(300), "admin", address(1)), Ok(()));
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let mut throttle = Throttle::default();
        for n in 0..100 {
            assert_eq!(throttle.attempt(at(n), "admin", address(1)), Ok(()), "{n}");
            throttle.succeeded(at(n), "admin", address(1));
        }
    }

    #[test]
    fn guessing_from_many_addresses_is_slowed_but_does_not_lock_the_admin_out() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.attempt(at(0), "admin", address(1)), Ok(()));
        throttle.succeeded(at(0), "admin", address(1));
        let accepted = (2..500).filter(|n| throttle.attempt(at(1), "admin", address(*n)).is_ok()).count();
        assert_eq!(accepted, ACCOUNT_MAX as usize);
        assert_eq!(throttle.attempt(at(2), "admin", address(1)), Ok(()));
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let mut throttle = Throttle::default();
        for n in 0..9000 {
            let _ = throttle.attempt(at(1), &format!("name{n}"), address(n));
        }
        assert!(throttle.pairs.len() <= ENTRIES_MAX && throttle.accounts.len() <= ENTRIES_MAX);
        assert!(throttle.addresses.len() <= ENTRIES_MAX);
    }

    #[test]
    fn bad_tokens_are_counted_by_address_and_keep_nobody_from_signing_in() {
        let mut throttle = Throttle::default();
        for n in 0..60 {
            assert_eq!(throttle.bad_token(at(n), address(1)), None);
        }
        assert_eq!(throttle.bad_token(at(60), address(1)), Some(240));
        assert_eq!(throttle.bad_token(at(60), address(2)), None);
        assert_eq!(throttle.attempt(at(60), "admin", address(1)), Ok(()));
        assert_eq!(throttle.bad_token(at(300), address(1)), None);
    }
}
