//! Counting connections: all together and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;

/// How many connections there are.
#[derive(Clone)]
pub(crate) struct Connections {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address: usize,
}

/// The right to one connection; dropping it gives it back.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    connections: Connections,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS))),
            by_address: Arc::default(),
            per_address: limits.per_address,
        }
    }

    /// Waits until there is room for one more connection.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.all.clone().acquire_owned().await.ok()
    }

    /// Takes a place for `address`, or `None` when that address has its share.
    pub(crate) fn place(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_address.get(&address).copied().unwrap_or(0);
        if taken >= self.per_address {
            return None;
        }
        by_address.insert(address, taken + 1);
        Some(Place { _permit: permit, address, connections: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.connections.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        match by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_gets_no_more_than_its_share_and_gets_it_back() {
        let limits = Limits { connections: 10, per_address: 2, ..Limits::default() };
        let connections = Connections::new(&limits);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = connections.place(connections.room().await.unwrap(), a);
        let second = connections.place(connections.room().await.unwrap(), a);
        assert!(first.is_some() && second.is_some());
        assert!(connections.place(connections.room().await.unwrap(), a).is_none());
        let other = connections.place(connections.room().await.unwrap(), b);
        assert!(other.is_some());
        drop((first, second));
        assert!(connections.place(connections.room().await.unwrap(), a).is_some());
        drop(other);
        assert!(connections.by_address.lock().unwrap().is_empty());
        assert_eq!(connections.all.available_permits(), 10);
    }
}
