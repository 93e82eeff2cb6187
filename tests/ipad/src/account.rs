//! Enrolment by signing in with a Managed Apple Account.
//! <https://developer.apple.com/documentation/devicemanagement/implementing-the-simple-authentication-user-enrollment-flow>

use mdm::cms::RsaKey;
use serde_json::Value;
use ureq::http::{Request, Response};

use crate::enrol::{EnrolError, Way};
use crate::{Facts, Ipad, Maker, Trust};

impl Ipad {
    /// Enrols whoever enters `account` in the settings, and `code` on the school's page. `domain` is what the domain of the account leads to.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol_by_account(
        (domain, account, code): (&str, &str, &str),
        facts: Facts,
        trust: &Trust,
        maker: &Maker,
    ) -> Result<Self, EnrolError> {
        let who = format!("user-identifier={}", account.replace('+', "%2B"));
        let found =
            trust.get(&format!("{domain}/.well-known/com.apple.remotemanagement?{who}&model-family=iPad"))?;
        let found: Value =
            serde_json::from_slice(&found).map_err(|_| EnrolError::Profile("no list of servers"))?;
        let server = found.pointer("/Servers/0").ok_or(EnrolError::Profile("no server"))?;
        let text = |key: &str| server.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("Version") != "mdm-adde" {
            return Err(EnrolError::Profile("a server of another kind"));
        }
        let message = maker.machine_info(&facts)?;
        let ask = |token: Option<&str>| {
            let request =
                Request::post(text("BaseURL")).header("content-type", "application/pkcs7-signature");
            let request = token
                .into_iter()
                .fold(request, |request, token| request.header("authorization", format!("Bearer {token}")));
            sent(trust, request.body(message.clone()))
        };
        let refused = ask(None)?;
        let page = header(&refused, 401, "www-authenticate")?
            .strip_prefix("Bearer method=\"apple-as-web\", url=\"")
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or(EnrolError::Profile("another way to sign in"))?;
        let form = trust.get(&format!("{page}?{who}"))?;
        if !String::from_utf8_lossy(&form).contains(&format!("value=\"{account}\"")) {
            return Err(EnrolError::Profile("the page is for somebody else"));
        }
        let request = Request::post(page).header("content-type", "application/x-www-form-urlencoded");
        let signed_in = sent(trust, request.body(format!("{who}&code={code}").into_bytes()))?;
        let token = header(&signed_in, 308, "location")?
            .strip_prefix("apple-remotemanagement-user-login://authentication-results?access-token=")
            .ok_or(EnrolError::Profile("the page leads elsewhere"))?;
        let profile = ask(Some(token))?;
        if profile.status() != 200 {
            return Err(EnrolError::Profile("who signed in gets no profile"));
        }
        let key = RsaKey::generate().map_err(|_| EnrolError::Profile("no key can be made"))?;
        Self::with_profile(profile.body(), facts, trust, key, Way::Account(account))
    }
}

fn sent(
    trust: &Trust,
    request: Result<Request<Vec<u8>>, ureq::http::Error>,
) -> Result<Response<Vec<u8>>, EnrolError> {
    Ok(trust.exchange(request.map_err(|_| EnrolError::Profile("an address makes no sense"))?)?)
}

/// What an answer with that status says in that header.
fn header<'a>(answer: &'a Response<Vec<u8>>, status: u16, name: &str) -> Result<&'a str, EnrolError> {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.filter(|_| answer.status() == status).ok_or(EnrolError::Profile("signing in came to nothing"))
}
