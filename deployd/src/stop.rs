//! Telling tasks that the daemon ends.

use tokio::sync::watch;

/// Becomes `true` when the daemon ends; a sender that is gone means the same.
pub(crate) type Stop = watch::Receiver<bool>;

/// Waits until the daemon ends.
pub(crate) async fn stopped(stop: &mut Stop) {
    // An error means that the sender is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
