//! What programs every PC should have, as the inventory says it now. Made when somebody asks, and again after it changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory::Inventory;
use inventory::software::Book;
use tokio::sync::watch;

use crate::notices::Notices;

/// The book, and when it has to be made anew.
pub(crate) struct Books {
    inventory: Inventory,
    notices: Arc<Notices>,
    changed: watch::Receiver<u64>,
    /// With the number of the change it was made after.
    made: tokio::sync::Mutex<Option<(u64, Shared)>>,
}

/// A book that several requests plan with.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Book>>);

impl Shared {
    /// Planning takes well below a millisecond: no need for anything but a plain lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        // What a panic may have left half made is a memory of plans, which are made anew.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    pub(crate) fn new(inventory: Inventory, changed: watch::Receiver<u64>, notices: Arc<Notices>) -> Self {
        Self { inventory, notices, changed, made: tokio::sync::Mutex::new(None) }
    }

    /// Marked changed when the book may have changed.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// The book of this moment. Whoever comes while it is made waits for it.
    pub(crate) async fn now(&self) -> inventory::Result<Shared> {
        let mut made = self.made.lock().await;
        // Read before the inventory: what changes in between makes the next caller read again.
        let number = *self.changed.borrow();
        if let Some((_, book)) = made.as_ref().filter(|(made_after, _)| *made_after == number) {
            return Ok(book.clone());
        }
        let (book, problems) = self.inventory.software_book().await?;
        match problems.first() {
            Some(problem) => {
                let text = format!("a part of the catalogue of programs cannot be used: {problem}");
                self.notices.raise(PLACE, &text, REMEDY).await;
            }
            None => self.notices.clear(PLACE).await,
        }
        let book = Shared(Arc::new(Mutex::new(book)));
        *made = Some((number, book.clone()));
        Ok(book)
    }
}

const PLACE: &str = "software";
const REMEDY: &str = "remove the entry of the catalogue and add it again; other programs are not affected";
