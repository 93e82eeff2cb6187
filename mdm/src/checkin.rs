//! What a device says about its enrolment, and what it is told in return.
//!
//! | `MessageType` | What it means | Answer |
//! |---|---|---|
//! | Authenticate | an enrolment begins | nothing |
//! | TokenUpdate | the device, or a pupil on it, can be reached | nothing |
//! | CheckOut | the profile was removed; best effort, never certain | nothing |
//! | DeclarativeManagement | it asks for declarations or reports their state | JSON |
//! | GetToken | it wants a token of the organisation | [`Answer::Token`] |
//! | SetBootstrapToken, GetBootstrapToken, UserAuthenticate | Macs only | taken, none, [`Answer::NoUserLogin`] |
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/check-in>

use plist::{Dictionary, Value};

use crate::channel::Channel;
use crate::declarative::Endpoint;
use crate::document::{self, DocumentError};
use crate::fields::{FieldError, Fields, Required};
use crate::secret::Secret;
use crate::values::Topic;

/// One check-in message and the channel that it came on.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckIn {
    /// Whom it is about.
    pub channel: Channel,
    /// What it says.
    pub message: Message,
}

/// What a check-in message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// An enrolment begins. The device cannot be reached before its first [`TokenUpdate`].
    Authenticate(Box<Authenticate>),
    /// The channel can be reached with these tokens from here on.
    TokenUpdate(Box<TokenUpdate>),
    /// The enrolment ended on the device.
    CheckOut {
        /// The topic of the push certificate that the enrolment used.
        topic: Topic,
    },
    /// A user of a Mac wants to sign in with the MDM server.
    UserAuthenticate,
    /// A Mac gives its bootstrap token, or takes it back.
    SetBootstrapToken {
        /// The token; `None` takes it back.
        token: Option<Secret<Vec<u8>>>,
    },
    /// A Mac wants the bootstrap token that it gave.
    GetBootstrapToken,
    /// The device wants a token that only the organisation can make.
    GetToken(TokenService),
    /// A request of declarative management.
    DeclarativeManagement {
        /// What it asks for, or reports.
        endpoint: Endpoint,
        /// The JSON that came along, at most [`MAX_STATUS`] bytes.
        data: Option<Vec<u8>>,
    },
}

/// The device introduces itself: <https://developer.apple.com/documentation/devicemanagement/authenticate-request>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// The topic of the push certificate that the enrolment uses.
    pub topic: Topic,
    /// Absent on a device that belongs to its user.
    pub serial_number: Option<String>,
    /// For example `18.1`.
    pub os_version: Option<String>,
    /// For example `22B83`.
    pub build_version: Option<String>,
    /// For example `iPad14,1`.
    pub product_name: Option<String>,
    /// The name that the user sees, where the device tells it.
    pub device_name: Option<Secret<String>>,
    /// For example `MK2K3FD`.
    pub model: Option<String>,
    /// For example `iPad`.
    pub model_name: Option<String>,
    /// Of a device with a modem.
    pub imei: Option<String>,
    /// Of a device with a CDMA modem.
    pub meid: Option<String>,
}

/// The device tells how to reach it: <https://developer.apple.com/documentation/devicemanagement/token-update>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUpdate {
    /// The topic of the push certificate that the enrolment uses.
    pub topic: Topic,
    /// The channel's address at Apple's push service.
    pub token: Secret<Vec<u8>>,
    /// What the device wants to see in a push before it believes it.
    pub push_magic: Secret<String>,
    /// What `ClearPasscode` needs. A later message may lack it: the last one that came stays right.
    pub unlock_token: Option<Secret<Vec<u8>>>,
    /// The setup assistant waits for `DeviceConfigured`, or `UserConfigured` on a user channel.
    pub awaiting_configuration: bool,
}

/// Which token a device wants: <https://developer.apple.com/documentation/devicemanagement/get-token>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenService {
    /// `com.apple.maid`: a Managed Apple Account signs in only on managed devices.
    ManagedAppleAccount,
    /// `com.apple.watch.pairing`: a watch is to be paired.
    WatchPairing {
        /// What the server's token has to repeat.
        security_token: Secret<String>,
        /// The phone.
        phone: String,
        /// The watch.
        watch: String,
    },
}

/// Why a check-in message was not understood.
#[derive(Debug, thiserror::Error)]
pub enum CheckInError {
    /// The body is no property list that is taken here.
    #[error("the check-in message cannot be read")]
    Document(#[from] DocumentError),
    /// The property list is no dictionary.
    #[error("the check-in message is no dictionary")]
    NoDictionary,
    /// Apple describes no such message.
    #[error("the check-in message has a MessageType that is not known here")]
    UnknownMessage,
    /// A key is missing or wrong.
    #[error("the check-in message {message} is incomplete")]
    Field {
        /// Which message it is, `CheckIn` as long as that is not known.
        message: &'static str,
        /// Which key, and what is wrong with it.
        source: FieldError,
    },
}

impl CheckIn {
    /// Reads the body of a check-in request, at most `limit` bytes.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, CheckInError> {
        let mut fields =
            Fields::new(document::parse_value(body, limit)?).ok_or(CheckInError::NoDictionary)?;
        let kind =
            field("CheckIn", fields.text("MessageType").and_then(|kind| kind.required("MessageType")))?;
        let (name, read) =
            READERS.iter().find(|(name, _)| *name == kind).ok_or(CheckInError::UnknownMessage)?;
        let channel = field(name, Channel::take(&mut fields))?;
        let message = field(name, read(&mut fields))?;
        Ok(Self { channel, message })
    }
}

fn field<T>(message: &'static str, result: Result<T, FieldError>) -> Result<T, CheckInError> {
    result.map_err(|source| CheckInError::Field { message, source })
}

fn authenticate(fields: &mut Fields) -> Result<Message, FieldError> {
    Ok(Message::Authenticate(Box::new(Authenticate {
        topic: topic(fields)?,
        serial_number: fields.text("SerialNumber")?,
        os_version: fields.text("OSVersion")?,
        build_version: fields.text("BuildVersion")?,
        product_name: fields.text("ProductName")?,
        device_name: fields.text("DeviceName")?.map(Secret::new),
        model: fields.text("Model")?,
        model_name: fields.text("ModelName")?,
        imei: fields.text("IMEI")?,
        meid: fields.text("MEID")?,
    })))
}

fn token_update(fields: &mut Fields) -> Result<Message, FieldError> {
    Ok(Message::TokenUpdate(Box::new(TokenUpdate {
        topic: topic(fields)?,
        token: fields.data("Token", MAX_PUSH_TOKEN)?.map(Secret::new).required("Token")?,
        push_magic: fields.text("PushMagic")?.map(Secret::new).required("PushMagic")?,
        unlock_token: fields.data("UnlockToken", MAX_ESCROW)?.map(Secret::new),
        awaiting_configuration: fields.boolean("AwaitingConfiguration")?.unwrap_or(false),
    })))
}

fn check_out(fields: &mut Fields) -> Result<Message, FieldError> {
    topic(fields).map(|topic| Message::CheckOut { topic })
}

fn user_authenticate(_: &mut Fields) -> Result<Message, FieldError> {
    Ok(Message::UserAuthenticate)
}

fn set_bootstrap_token(fields: &mut Fields) -> Result<Message, FieldError> {
    let token = fields.data("BootstrapToken", MAX_ESCROW)?.map(Secret::new);
    Ok(Message::SetBootstrapToken { token })
}

fn get_bootstrap_token(_: &mut Fields) -> Result<Message, FieldError> {
    Ok(Message::GetBootstrapToken)
}

fn get_token(fields: &mut Fields) -> Result<Message, FieldError> {
    let service = fields.text("TokenServiceType")?.required("TokenServiceType")?;
    let service = match service.as_str() {
        "com.apple.maid" => TokenService::ManagedAppleAccount,
        "com.apple.watch.pairing" => {
            let mut parameters = fields.fields("TokenParameters")?.required("TokenParameters")?;
            TokenService::WatchPairing {
                security_token: parameters
                    .text("SecurityToken")?
                    .map(Secret::new)
                    .required("SecurityToken")?,
                phone: parameters.text("PhoneUDID")?.required("PhoneUDID")?,
                watch: parameters.text("WatchUDID")?.required("WatchUDID")?,
            }
        }
        _ => {
            let expected = "a token service that is known here";
            return Err(FieldError::Unfit { key: "TokenServiceType", expected });
        }
    };
    Ok(Message::GetToken(service))
}

fn declarative_management(fields: &mut Fields) -> Result<Message, FieldError> {
    let unfit = FieldError::Unfit { key: "Endpoint", expected: "a request that Apple describes" };
    let endpoint = fields.text("Endpoint")?.required("Endpoint")?.parse().map_err(|_| unfit)?;
    Ok(Message::DeclarativeManagement { endpoint, data: fields.data("Data", MAX_STATUS)? })
}

fn topic(fields: &mut Fields) -> Result<Topic, FieldError> {
    let unfit = FieldError::Unfit { key: "Topic", expected: "the topic of a push certificate" };
    fields.text("Topic")?.required("Topic")?.parse().map_err(|_| unfit)
}

/// What the server answers to a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The message was taken.
    Taken,
    /// `GetBootstrapToken`: the token that was stored, if there is one.
    BootstrapToken(Option<Secret<Vec<u8>>>),
    /// `GetToken`: the token of the organisation.
    Token(Secret<Vec<u8>>),
    /// `DeclarativeManagement`: JSON, which the engine of the declarations wrote.
    Declarative(Vec<u8>),
    /// `DeclarativeManagement`: there is no such declaration.
    NoSuchDeclaration,
    /// `UserAuthenticate`: users have no channel of their own here.
    NoUserLogin,
    /// The message was not understood. Nothing happens to the enrolment.
    NotUnderstood,
    /// The device is to forget its enrolment, since iOS 17. Nothing else has this effect, and 401 is never answered: older
    /// devices take that for an order to un-enrol.
    Unrecognized,
}

/// What goes over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body, if there is a body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer as a status, a media type and a body.
    pub fn reply(self) -> Result<Reply, DocumentError> {
        let bare = |status| Ok(Reply { status, content_type: None, body: Vec::new() });
        match self {
            Self::Taken | Self::BootstrapToken(None) => bare(200),
            Self::BootstrapToken(Some(token)) => property_list("BootstrapToken", &token),
            Self::Token(token) => property_list("TokenData", &token),
            Self::Declarative(body) => Ok(Reply { status: 200, content_type: Some(JSON), body }),
            Self::NoSuchDeclaration => bare(404),
            Self::NoUserLogin => bare(410),
            Self::NotUnderstood => bare(400),
            // https://developer.apple.com/documentation/devicemanagement/errorcodeunrecognizeddevice
            Self::Unrecognized => {
                let body = br#"{"code":"com.apple.unrecognized.device"}"#.to_vec();
                Ok(Reply { status: 403, content_type: Some(JSON), body })
            }
        }
    }
}

fn property_list(key: &str, bytes: &Secret<Vec<u8>>) -> Result<Reply, DocumentError> {
    let document: Dictionary = [(key, Value::Data(bytes.expose().clone()))].into_iter().collect();
    let body = document::write(&document)?;
    Ok(Reply { status: 200, content_type: Some("application/xml"), body })
}

type Reader = fn(&mut Fields) -> Result<Message, FieldError>;

const READERS: [(&str, Reader); 8] = [
    ("Authenticate", authenticate),
    ("TokenUpdate", token_update),
    ("CheckOut", check_out),
    ("UserAuthenticate", user_authenticate),
    ("SetBootstrapToken", set_bootstrap_token),
    ("GetBootstrapToken", get_bootstrap_token),
    ("GetToken", get_token),
    ("DeclarativeManagement", declarative_management),
];

const JSON: &str = "application/json";

/// Apple's are 32 bytes; the documentation promises no length.
const MAX_PUSH_TOKEN: usize = 256;

/// Unlock and bootstrap tokens are below 2 KiB today.
const MAX_ESCROW: usize = 64 * 1024;

/// The longest report of declarative management that is taken.
pub const MAX_STATUS: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests;
