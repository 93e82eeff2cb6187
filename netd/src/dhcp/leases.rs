//! Who holds which address, and to whom one is offered.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use inventory::{Lease, LeaseState, MacAddr, UnixMillis};

use super::codec::Request;
use super::pool::Pool;

/// Who a lease belongs to. One card is one client, whatever identifiers its firmware, its boot loader and its systems send;
/// an identifier counts only where there is no usable hardware address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey {
    /// A network card.
    Card(MacAddr),
    /// Something else, in the words of the lease table: `id:` with the client identifier in hexadecimal digits, or a word.
    Text(Arc<str>),
}

impl ClientKey {
    /// Who sent a request; `None` if it says nothing usable about itself.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Option<Self> {
        if let Some(mac) = request.mac() {
            return Some(Self::Card(mac));
        }
        let id = request.option(dhcproto::v4::OptionCode::ClientIdentifier)?;
        let id = id.get(..id.len().min(IDENTIFIER_BYTES_MAX)).filter(|id| id.len() > 1)?;
        let digits = id.iter().fold(String::from("id:"), |text, byte| text + &format!("{byte:02x}"));
        Some(Self::Text(digits.into()))
    }

    /// The hardware address to store. A client without one gets a locally administered address made from its identifier, so
    /// that the column is never empty.
    pub(super) fn stored_mac(&self) -> MacAddr {
        match self {
            Self::Card(mac) => *mac,
            Self::Text(text) => {
                // FNV-1a; nothing depends on its strength.
                let hash = text
                    .bytes()
                    .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
                let [_, _, _, a, b, c, d, e] = hash.to_be_bytes();
                MacAddr([0x02, a, b, c, d, e])
            }
        }
    }

    fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.into()), Self::Card)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(mac) => mac.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What is kept of a lease; the host name stays in the database.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) client: ClientKey,
    pub(super) state: LeaseState,
    pub(super) end: i64,
}

impl Held {
    fn is_live(&self, now: i64) -> bool {
        self.state != LeaseState::Released && self.end > now
    }
}

#[derive(Debug, Clone)]
struct Offer {
    client: ClientKey,
    until: i64,
}

/// All leases and open offers. Every operation costs at most the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Book {
    held: HashMap<u32, Held>,
    by_client: BTreeSet<(ClientKey, u32)>,
    offers: HashMap<u32, Offer>,
    offered_to: HashMap<ClientKey, u32>,
    /// Offers in the order in which they end; an entry whose offer has changed means nothing.
    ending: VecDeque<(i64, u32)>,
    /// Ordered by first address; pools do not overlap.
    pools: Vec<Pool>,
    excluded: HashSet<Ipv4Addr>,
    seed: u64,
}

impl Book {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Takes over the pools and exclusions of a new view; pools that stay keep their state.
    pub(super) fn set_pools(
        &mut self,
        pools: impl Iterator<Item = (Ipv4Addr, Ipv4Addr)>,
        excluded: &HashSet<Ipv4Addr>,
    ) {
        let mut old = std::mem::take(&mut self.pools);
        let mut new = false;
        for (first, last) in pools {
            let (first, last) = (u32::from(first), u32::from(last));
            match old.iter().position(|pool| (pool.first, pool.last) == (first, last)) {
                Some(at) => self.pools.push(old.swap_remove(at)),
                None => {
                    self.pools.push(Pool::new(first, last, self.seed));
                    new = true;
                }
            }
        }
        self.pools.sort_by_key(|pool| pool.first);
        let before = std::mem::replace(&mut self.excluded, excluded.clone());
        for ip in before.difference(excluded).copied().map(u32::from) {
            self.make_free(ip);
        }
        for ip in excluded.difference(&before).copied().map(u32::from) {
            self.hide(ip);
        }
        if new {
            let held: Vec<u32> = self.held.keys().copied().collect();
            held.into_iter().for_each(|ip| self.make_free(ip));
        }
    }

    /// Believes the database about a lease. What is live there overrules what is known here: two servers may write, and only
    /// the database decides between them.
    pub(super) fn learn(&mut self, now: i64, lease: &Lease) {
        let ip = u32::from(lease.ip);
        let held =
            Held { client: ClientKey::parse(&lease.client), state: lease.state, end: lease.expires_at.0 };
        let newer = self.held.get(&ip).is_none_or(|known| {
            if known.client == held.client {
                held.end > known.end
            } else {
                held.is_live(now) || !known.is_live(now)
            }
        });
        if newer {
            if self.offers.get(&ip).is_some_and(|offer| offer.client != held.client && held.is_live(now)) {
                self.withdraw(ip);
            }
            self.put(ip, held);
        }
    }

    pub(super) fn held(&self, ip: Ipv4Addr) -> Option<&Held> {
        self.held.get(&u32::from(ip))
    }

    /// Whether a client may have an address, as far as leases and offers say.
    pub(super) fn is_free_for(&self, now: i64, ip: Ipv4Addr, client: &ClientKey) -> bool {
        let ip = u32::from(ip);
        let offered = self.offers.get(&ip).is_some_and(|o| o.client != *client && o.until > now);
        let held = self
            .held
            .get(&ip)
            .is_some_and(|h| h.is_live(now) && (h.client != *client || h.state == LeaseState::Declined));
        !offered && !held
    }

    /// Whether a lease of that client runs.
    pub(super) fn holds(&self, now: i64, ip: Ipv4Addr, client: &ClientKey) -> bool {
        self.held(ip).is_some_and(|h| h.client == *client && h.state == LeaseState::Active && h.end > now)
    }

    /// Addresses the client has or had; running leases and others alike.
    pub(super) fn addresses_of(&self, client: &ClientKey) -> impl Iterator<Item = (Ipv4Addr, &Held)> {
        self.by_client
            .range((client.clone(), 0)..=(client.clone(), u32::MAX))
            .filter_map(|(_, ip)| Some((Ipv4Addr::from(*ip), self.held.get(ip)?)))
    }

    pub(super) fn offer_to(&self, now: i64, client: &ClientKey) -> Option<Ipv4Addr> {
        let ip = *self.offered_to.get(client)?;
        self.offers.get(&ip).filter(|offer| offer.until > now).map(|_| ip.into())
    }

    /// Who an address is offered to.
    pub(super) fn offered(&self, ip: Ipv4Addr) -> Option<&ClientKey> {
        self.offers.get(&u32::from(ip)).map(|offer| &offer.client)
    }

    /// Keeps an address for a client until the instant; the client's earlier offer ends.
    pub(super) fn offer(&mut self, now: i64, ip: Ipv4Addr, client: &ClientKey) {
        let ip = u32::from(ip);
        if let Some(before) = self.offered_to.get(client).copied() {
            let stays = self.offers.get(&before).is_some_and(|o| o.until - now > OFFER_MILLIS / 2);
            if before == ip && stays {
                return;
            }
            self.withdraw(before);
        }
        while self.offers.len() >= OFFERS_MAX || self.ending.len() >= ENDING_MAX {
            let Some((until, ip)) = self.ending.pop_front() else { break };
            self.end_offer(until, ip);
        }
        let until = now.saturating_add(OFFER_MILLIS);
        self.hide(ip);
        self.offers.insert(ip, Offer { client: client.clone(), until });
        self.offered_to.insert(client.clone(), ip);
        self.ending.push_back((until, ip));
    }

    /// Ends the offer to a client, if there is one.
    pub(super) fn withdraw_from(&mut self, client: &ClientKey) {
        if let Some(ip) = self.offered_to.get(client).copied() {
            self.withdraw(ip);
        }
    }

    /// Ends offers whose time is over.
    pub(super) fn end_offers(&mut self, now: i64) {
        while let Some((until, ip)) = self.ending.front().copied().filter(|(until, _)| *until <= now) {
            self.ending.pop_front();
            self.end_offer(until, ip);
        }
    }

    /// Writes who holds an address from now on; an offer of it is over.
    pub(super) fn set(&mut self, ip: Ipv4Addr, client: &ClientKey, state: LeaseState, end: UnixMillis) {
        let ip = u32::from(ip);
        self.withdraw(ip);
        self.put(ip, Held { client: client.clone(), state, end: end.0 });
    }

    /// An address of the pool that begins at `pool_first` that nobody has: first one never given away, then the one whose
    /// lease ended longest ago.
    pub(super) fn find(&mut self, now: i64, pool_first: Ipv4Addr) -> Option<Ipv4Addr> {
        let at = self.pool_at(u32::from(pool_first))?;
        let (held, offers, excluded) = (&self.held, &self.offers, &self.excluded);
        let pool = self.pools.get_mut(at)?;
        let taken =
            |ip| held.contains_key(&ip) || offers.contains_key(&ip) || excluded.contains(&Ipv4Addr::from(ip));
        pool.take_fresh(taken).or_else(|| pool.oldest_ended(now)).map(Ipv4Addr::from)
    }

    /// The address that [`Book::find`] will probably give out next.
    pub(super) fn upcoming(&self, pool_first: Ipv4Addr) -> Option<Ipv4Addr> {
        let ip = self.pools.get(self.pool_at(u32::from(pool_first))?)?.upcoming()?;
        let used = self.held.contains_key(&ip) || self.offers.contains_key(&ip);
        (!used && !self.excluded.contains(&ip.into())).then_some(ip.into())
    }

    /// Number of leases and offers, for the log.
    #[cfg(test)]
    pub(super) fn live(&self, now: i64) -> Vec<(Ipv4Addr, ClientKey)> {
        self.held
            .iter()
            .filter(|(_, h)| h.is_live(now))
            .map(|(ip, h)| ((*ip).into(), h.client.clone()))
            .collect()
    }

    fn put(&mut self, ip: u32, held: Held) {
        self.hide(ip);
        let client = held.client.clone();
        if let Some(old) = self.held.insert(ip, held)
            && old.client != client
        {
            self.by_client.remove(&(old.client, ip));
        }
        self.by_client.insert((client, ip));
        self.make_free(ip);
    }

    fn withdraw(&mut self, ip: u32) {
        if let Some(offer) = self.offers.remove(&ip) {
            self.offered_to.remove(&offer.client);
            self.make_free(ip);
        }
    }

    fn end_offer(&mut self, until: i64, ip: u32) {
        if self.offers.get(&ip).is_some_and(|offer| offer.until == until) {
            self.withdraw(ip);
        }
    }

    /// Lets its pool find an address again, at the end of its lease if it has one.
    fn make_free(&mut self, ip: u32) {
        if self.offers.contains_key(&ip) || self.excluded.contains(&ip.into()) {
            return;
        }
        let end = self.held.get(&ip).map(|held| held.end);
        let Some(pool) = self.pool_at(ip).and_then(|at| self.pools.get_mut(at)) else { return };
        match end {
            Some(end) => pool.note(end, ip),
            None => pool.give_back(ip),
        }
    }

    /// Keeps its pool from finding an address.
    fn hide(&mut self, ip: u32) {
        let Some(end) = self.held.get(&ip).map(|held| held.end) else { return };
        if let Some(pool) = self.pool_at(ip).and_then(|at| self.pools.get_mut(at)) {
            pool.forget(end, ip);
        }
    }

    fn pool_at(&self, ip: u32) -> Option<usize> {
        let at = self.pools.partition_point(|pool| pool.first <= ip).checked_sub(1)?;
        self.pools.get(at).filter(|pool| pool.contains(ip)).map(|_| at)
    }
}

/// How long an offered address is kept for its client.
const OFFER_MILLIS: i64 = 60_000;
/// More open offers than a school can have PCs that boot in one minute; beyond it the oldest end early.
const OFFERS_MAX: usize = 100_000;
const ENDING_MAX: usize = 1_000_000;
/// Longest client identifier that is told apart.
const IDENTIFIER_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::new(0);
        book.set_pools([([10, 0, 0, 1].into(), [10, 0, 0, 3].into())].into_iter(), &HashSet::new());
        book
    }

    fn client(n: u8) -> ClientKey {
        ClientKey::Card(MacAddr([2, 0, 0, 0, 0, n]))
    }

    const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn an_offer_that_ends_frees_its_address() {
        let mut book = book();
        for n in 1..=3 {
            let ip = book.find(0, FIRST).unwrap();
            book.offer(0, ip, &client(n));
        }
        assert_eq!(book.find(0, FIRST), None);
        book.end_offers(OFFER_MILLIS - 1);
        assert_eq!(book.find(0, FIRST), None);
        book.end_offers(OFFER_MILLIS);
        assert!(book.find(OFFER_MILLIS, FIRST).is_some());
    }

    #[test]
    fn an_ended_lease_that_is_offered_to_somebody_is_not_found_for_a_third() {
        let mut book = book();
        for n in 1..=3 {
            let ip = book.find(0, FIRST).unwrap();
            book.set(ip, &client(n), LeaseState::Active, UnixMillis(100 + i64::from(n)));
        }
        let ip = book.find(200, FIRST).unwrap();
        assert_eq!(ip, FIRST);
        book.offer(200, ip, &client(9));
        assert_eq!(book.find(200, FIRST), Some([10, 0, 0, 2].into()));
        book.withdraw_from(&client(9));
        assert_eq!(book.find(200, FIRST), Some(FIRST));
    }

    #[test]
    fn an_address_that_is_no_longer_excluded_is_found_again() {
        let mut book = book();
        let pool = || [([10, 0, 0, 1].into(), [10, 0, 0, 3].into())].into_iter();
        book.set_pools(pool(), &HashSet::from([[10, 0, 0, 2].into()]));
        let found: Vec<_> = std::iter::from_fn(|| book.find(0, FIRST)).collect();
        assert_eq!(found, [Ipv4Addr::new(10, 0, 0, 1), [10, 0, 0, 3].into()]);
        book.set_pools(pool(), &HashSet::new());
        assert_eq!(book.find(0, FIRST), Some([10, 0, 0, 2].into()));
    }

    #[test]
    fn what_is_live_in_the_database_overrules_what_is_known_here() {
        let mut book = book();
        let stored = |n: u8, end| Lease {
            ip: FIRST,
            client: client(n).to_string(),
            mac: MacAddr([2, 0, 0, 0, 0, n]),
            hostname: None,
            state: LeaseState::Active,
            expires_at: UnixMillis(end),
        };
        book.set(FIRST, &client(1), LeaseState::Active, UnixMillis(1000));
        book.learn(0, &stored(2, 500));
        assert!(book.holds(0, FIRST, &client(2)) && !book.holds(0, FIRST, &client(1)));
        book.learn(600, &stored(1, 550));
        assert!(!book.holds(0, FIRST, &client(2)), "an ended lease gives way to a later one");
    }

    #[test]
    fn open_offers_are_bounded() {
        let mut book = Book::new(0);
        book.set_pools([([10, 0, 0, 1].into(), [10, 15, 0, 0].into())].into_iter(), &HashSet::new());
        for n in 0..u32::try_from(OFFERS_MAX).unwrap() + 10 {
            let [a, b, c, d] = n.to_be_bytes();
            let ip = book.find(0, FIRST).unwrap();
            book.offer(0, ip, &ClientKey::Card(MacAddr([2, 0, a, b, c, d])));
        }
        assert_eq!(book.offers.len(), OFFERS_MAX);
        assert_eq!(book.offered_to.len(), OFFERS_MAX);
    }
}
