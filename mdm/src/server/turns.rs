//! Group commit: what iPads say waits here for the commit that is under way, and shares the next one.

use inventory::mdm::{Next, Turn};
use inventory::{Error, Inventory, clock};
use tokio::sync::{mpsc, oneshot};

/// The way to the task that writes.
pub(crate) struct Turns {
    inventory: Inventory,
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    turn: Turn,
    answer: oneshot::Sender<inventory::Result<Next>>,
}

/// The task that writes.
pub(crate) struct Committer {
    inventory: Inventory,
    queue: mpsc::Receiver<Waiting>,
}

/// The two ends.
pub(crate) fn turns(inventory: &Inventory) -> (Turns, Committer) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let committer = Committer { inventory: inventory.clone(), queue: receiver };
    (Turns { inventory: inventory.clone(), queue: sender }, committer)
}

impl Turns {
    /// Takes one turn; when this returns, it is durable.
    ///
    /// # Errors
    /// The inventory failed.
    pub(crate) async fn take(&self, turn: Turn) -> inventory::Result<Next> {
        let (answer, answered) = oneshot::channel();
        match self.queue.send(Waiting { turn, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(Error::Unusable(NOT_WRITTEN.to_owned()))),
            Err(closed) => alone(&self.inventory, closed.0.turn).await,
        }
    }
}

impl Committer {
    /// Writes until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.commit(&mut batch).await;
        }
    }

    async fn commit(&self, batch: &mut Vec<Waiting>) {
        let (turns, answers): (Vec<_>, Vec<_>) = batch.drain(..).map(|it| (it.turn, it.answer)).unzip();
        if let Ok(all) = self.inventory.take_turns(by(), &turns).await {
            for (next, answer) in all.into_iter().zip(answers) {
                // Who asked may have gone; what it said counts all the same.
                let _ = answer.send(Ok(next));
            }
            return;
        }
        // One that cannot be written must not take the others along. When none can, the rest is told by the answer that never comes.
        let mut failures = 0;
        for (turn, answer) in turns.into_iter().zip(answers) {
            let next = alone(&self.inventory, turn).await;
            failures += u32::from(next.is_err());
            let _ = answer.send(next);
            if failures > FAILURES_MAX {
                return;
            }
        }
    }
}

async fn alone(inventory: &Inventory, turn: Turn) -> inventory::Result<Next> {
    let next = inventory.take_turns(by(), std::slice::from_ref(&turn)).await?.pop();
    Ok(next.unwrap_or(Next::Nothing))
}

fn by() -> inventory::By<'static> {
    inventory::By { actor: crate::NAME, at: clock::now() }
}

/// Further iPads wait in their connections.
const WAITING_MAX: usize = 4096;
/// So many of one commit fail by themselves before the database is taken for the cause.
const FAILURES_MAX: u32 = 3;
const NOT_WRITTEN: &str = "what an iPad said was not written; it says so again";
/// Some ten milliseconds of work: nobody waits long for somebody else.
const BATCH_MAX: usize = 200;
