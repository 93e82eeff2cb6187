//! Apple, as far as the demo needs it: Apps and Books on this computer, with some licences of one app.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use apple::Authority;
use apple::apps::AppsService;
use ipad::Ipad;
use tokio::runtime::Runtime;

/// The running service.
pub(super) struct Apple {
    books: Arc<AppsService>,
    _runtime: Runtime,
}

impl Apple {
    /// Starts it; the authority behind it is put into the folder of the demo.
    pub(super) fn start(work_dir: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let authority = Authority::new();
        fs::write(work_dir.join(AUTHORITY), authority.pem()).context("the authority of the demo's Apple")?;
        let books = Arc::new(runtime.block_on(AppsService::start(&authority)));
        books.license(&NUMBER.to_string(), NAME, BUNDLE, LICENCES);
        Ok(Self { books, _runtime: runtime })
    }

    /// What stands in the configuration below `[mdm]`.
    pub(super) fn configuration(&self, work_dir: &Path) -> String {
        format!("apps_url = {:?}\nservices_authority = {:?}", self.books.url(), work_dir.join(AUTHORITY))
    }

    /// Lets an iPad install what it has a licence for.
    pub(super) fn open_the_store(&self, ipad: &mut Ipad) {
        ipad.store.apps.insert(NUMBER, (BUNDLE.into(), NAME.into()));
        let books = Arc::clone(&self.books);
        ipad.store.licensed = Some(Arc::new(move |app, serial| {
            books.holders(&app.to_string()).iter().any(|known| known == serial)
        }));
    }
}

/// What Apple School Manager would hand out.
pub(super) fn token() -> String {
    AppsService::token("2039-11-08T22:33:22+0000")
}

pub(super) const NUMBER: u64 = 361_309_726;
pub(super) const NAME: &str = "Pages";
pub(super) const BUNDLE: &str = "com.apple.Pages";
/// Two fewer than there are iPads.
pub(super) const LICENCES: usize = 8;
const AUTHORITY: &str = "apple.pem";
