//! What people ask of iPads, as commands.

use inventory::mdm::Action;
use inventory::{EnrolmentId, UnixMillis};

use super::{Sealed, Server, questions};
use crate::command::{
    ClearPasscode, Command, DeclarativeManagement, DeviceLock, EnableLostMode, EraseDevice,
};
use crate::document::Data;

impl Server {
    /// Makes commands of everything that was asked for.
    ///
    /// # Errors
    /// The inventory failed; what is left is made the next time.
    pub(crate) async fn answer_all_asked(&self, now: UnixMillis) -> inventory::Result<()> {
        loop {
            let asked = self.inventory.asked_of_ipads(now, ASKED_AT_ONCE).await?;
            if asked.is_empty() {
                return Ok(());
            }
            let mut answers = Vec::with_capacity(asked.len());
            for asked in asked {
                let commands = match asked.action.clone() {
                    Some(action) => self.commands_of(asked.ipad, action).await?,
                    None => Err("the server does not know what was asked"),
                };
                // Its time runs from when it was asked: a lock that comes late would hit the next lesson.
                let new = commands.and_then(|commands| {
                    let wrapped = commands.iter().map(|command| self.wrap(asked.ipad, command, asked.at));
                    wrapped.collect::<Option<Vec<_>>>().ok_or("the server cannot write this command")
                });
                answers.push((asked, new));
            }
            self.inventory.answer_asked(self.by(now), &answers).await?;
            for (asked, _) in &answers {
                self.ipads.note_work(asked.ipad);
            }
        }
    }

    async fn commands_of(
        &self,
        ipad: EnrolmentId,
        action: Action,
    ) -> inventory::Result<Result<Vec<Command>, &'static str>> {
        let text = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        let command = match action {
            Action::Refresh => {
                let declarations = Command::DeclarativeManagement(DeclarativeManagement::default());
                return Ok(Ok([questions(), vec![declarations]].concat()));
            }
            Action::Restart => Ok(Command::RestartDevice),
            Action::ShutDown => Ok(Command::ShutDownDevice),
            Action::Lock { message } => {
                Ok(Command::DeviceLock(DeviceLock { message: text(message), phone_number: None }))
            }
            Action::ClearPasscode => match self.unlock_token(ipad).await? {
                Some(token) => Ok(Command::ClearPasscode(ClearPasscode { unlock_token: Data::from(token) })),
                None => Err("this iPad never gave the token that takes its passcode away"),
            },
            Action::LostMode { message, phone } => EnableLostMode::new(text(message), text(phone), None)
                .map(Command::EnableLostMode)
                .map_err(|_| "lost mode needs a message or a phone number"),
            Action::LostModeOff => Ok(Command::DisableLostMode),
            Action::LostModeSound => Ok(Command::PlayLostModeSound),
            Action::Erase => Ok(Command::EraseDevice(EraseDevice::default())),
        };
        Ok(command.map(|command| vec![command]))
    }

    async fn unlock_token(&self, ipad: EnrolmentId) -> inventory::Result<Option<Vec<u8>>> {
        let sealed = self.inventory.sealed_unlock_token(ipad).await?;
        Ok(sealed.and_then(|sealed| self.unseal(Sealed::Unlock, ipad, &sealed)))
    }
}

const ASKED_AT_ONCE: u32 = 200;
