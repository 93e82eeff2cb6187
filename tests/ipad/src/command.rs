//! What a simulated iPad does when it is told to.

use plist::{Dictionary, Value};

use crate::{App, Done, HttpError, Ipad, Profile};

impl Ipad {
    /// Does what a command says; returns what was done, and the message that says so.
    ///
    /// # Errors
    /// It is no command.
    pub fn carry_out(&mut self, document: &[u8]) -> Result<(Done, Dictionary), HttpError> {
        let bad = HttpError::Answer("a command that is none");
        let document = Value::from_reader_xml(document).ok().and_then(Value::into_dictionary);
        let mut document = document.ok_or(bad)?;
        let id = document.get("CommandUUID").and_then(Value::as_string).map(str::to_owned);
        let command = document.remove("Command").and_then(Value::into_dictionary);
        let (Some(id), Some(command)) = (id, command) else {
            return Err(HttpError::Answer("a command without id"));
        };
        let kind = command.get("RequestType").and_then(Value::as_string).unwrap_or_default().to_owned();
        let (status, found) = self.answer(&kind, &command);
        let mut message = self.message([("Status", status.into()), ("CommandUUID", id.clone().into())]);
        for (key, value) in found {
            message.insert(key, value);
        }
        Ok((Done { id, kind, status }, message))
    }

    fn answer(&mut self, kind: &str, command: &Dictionary) -> (&'static str, Dictionary) {
        if self.busy && !kind.ends_with("List") && !kind.ends_with("Information") {
            return ("NotNow", Dictionary::new());
        }
        let mut found = Dictionary::new();
        let text = |key: &str| command.get(key).and_then(Value::as_string).unwrap_or_default().to_owned();
        match kind {
            "DeviceInformation" => {
                found.insert("QueryResponses".into(), Value::Dictionary(self.properties()));
            }
            "SecurityInfo" => {
                let mut security = Dictionary::new();
                security.insert("PasscodePresent".into(), self.state.passcode.into());
                security.insert("PasscodeCompliant".into(), true.into());
                found.insert("SecurityInfo".into(), Value::Dictionary(security));
            }
            "InstalledApplicationList" => {
                found.insert("InstalledApplicationList".into(), Value::Array(self.apps()));
            }
            "ManagedApplicationList" => {
                found.insert("ManagedApplicationList".into(), Value::Dictionary(self.managed_apps()));
            }
            "ProfileList" => {
                found.insert("ProfileList".into(), Value::Array(self.profiles()));
            }
            "InstallProfile" => return self.install_profile(command),
            "RemoveProfile" => {
                if self.state.profiles.remove(&text("Identifier")).is_none() {
                    return error("MCProfileErrorDomain", 1005, "The profile is not installed");
                }
            }
            "InstallApplication" => match self.install_application(command) {
                Ok(installed) => found = installed,
                Err(why) => return error("MCMDMErrorDomain", 12064, why),
            },
            "RemoveApplication" => {
                if let Err(why) = self.remove_application(&text("Identifier")) {
                    return error("MCMDMErrorDomain", 12026, why);
                }
            }
            "DeviceLock" => self.state.locks += 1,
            "RestartDevice" if self.facts.supervised => self.state.restarts += 1,
            "ClearPasscode" => self.state.passcode = false,
            "EnableLostMode" if self.facts.supervised => self.state.lost = Some(text("Message")),
            "DisableLostMode" if self.facts.supervised => self.state.lost = None,
            "PlayLostModeSound" if self.state.lost.is_some() => {}
            "DeviceConfigured" => self.state.awaiting = false,
            "EraseDevice" => self.state.erased = true,
            "Settings" => {
                found.insert("Settings".into(), Value::Array(self.settings(command)));
            }
            "DeclarativeManagement" => {
                if self.synchronise().is_err() {
                    return error("RMErrorDomain", 1, "The declarations cannot be fetched");
                }
            }
            _ => return error("MCMDMErrorDomain", 12021, "The command is not supported"),
        }
        ("Acknowledged", found)
    }

    fn properties(&self) -> Dictionary {
        let facts = &self.facts;
        let mut found = Dictionary::new();
        let mut say = |key: &str, value: Value| found.insert(key.into(), value);
        say("UDID", facts.udid.clone().into());
        say("SerialNumber", facts.serial.clone().into());
        say("OSVersion", facts.os_version.clone().into());
        say("BuildVersion", "22B83".into());
        say("ProductName", facts.product.clone().into());
        say("ModelName", "iPad".into());
        say("DeviceCapacity", Value::Real(64.0));
        say("AvailableDeviceCapacity", Value::Real(41.5));
        say("BatteryLevel", Value::Real(0.8));
        say("WiFiMAC", facts.wifi_mac.clone().into());
        say("IsSupervised", facts.supervised.into());
        say("IsMDMLostModeEnabled", self.state.lost.is_some().into());
        found
    }

    fn apps(&self) -> Vec<Value> {
        let app = |(id, app): (&String, &App)| {
            let mut out = Dictionary::new();
            out.insert("Identifier".into(), id.clone().into());
            out.insert("Name".into(), app.name.clone().into());
            out.insert("ShortVersion".into(), app.version.clone().into());
            Value::Dictionary(out)
        };
        self.state.apps.iter().map(app).collect()
    }

    fn managed_apps(&self) -> Dictionary {
        let mut out = Dictionary::new();
        for (id, known) in self.state.apps.iter().filter(|(_, app)| app.managed) {
            let mut app = Dictionary::new();
            app.insert("Status".into(), "Managed".into());
            app.insert("HasConfiguration".into(), known.configuration.is_some().into());
            out.insert(id.clone(), Value::Dictionary(app));
        }
        out
    }

    fn profiles(&self) -> Vec<Value> {
        let profile = |(id, profile): (&String, &Profile)| {
            let mut out = Dictionary::new();
            out.insert("PayloadIdentifier".into(), id.clone().into());
            out.insert("PayloadUUID".into(), profile.uuid.clone().into());
            out.insert("PayloadVersion".into(), 1.into());
            out.insert("IsManaged".into(), true.into());
            Value::Dictionary(out)
        };
        self.state.profiles.iter().map(profile).collect()
    }

    fn install_profile(&mut self, command: &Dictionary) -> (&'static str, Dictionary) {
        let payload = command.get("Payload").and_then(Value::as_data).unwrap_or_default();
        let Some((id, profile)) = Profile::parse(payload, None) else {
            return error("MCProfileErrorDomain", 1000, "The profile is invalid");
        };
        if payload.windows(ENROLS.len()).any(|window| window == ENROLS) && self.enrol_again(payload).is_err()
        {
            return error("MCInstallationErrorDomain", 4001, "The certificate cannot be renewed");
        }
        self.state.profiles.insert(id, profile);
        ("Acknowledged", Dictionary::new())
    }
}

/// How the payload of management is named.
const ENROLS: &[u8] = b"<string>com.apple.mdm</string>";

fn error(domain: &str, code: i64, text: &str) -> (&'static str, Dictionary) {
    let mut link = Dictionary::new();
    link.insert("ErrorDomain".into(), domain.into());
    link.insert("ErrorCode".into(), code.into());
    link.insert("LocalizedDescription".into(), text.into());
    link.insert("USEnglishDescription".into(), text.into());
    let mut found = Dictionary::new();
    found.insert("ErrorChain".into(), Value::Array(vec![Value::Dictionary(link)]));
    ("Error", found)
}
