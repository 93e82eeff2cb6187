//! What ends some day, and when a person has to hear of it: 60, 30, 14 and 7 days before, and afterwards.

use inventory::UnixMillis;

/// Something that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiring {
    /// What.
    pub(crate) what: Kind,
    /// When.
    pub(crate) ends_at: UnixMillis,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apple's push certificate.
    Push,
    /// The server token of Apple School Manager.
    Ade,
    /// The content token of Apps and Books.
    Apps,
    /// The TLS certificate of files.
    Tls,
    /// The school's own authority.
    Authority,
    /// The authority of the iPads.
    Devices,
}

impl Kind {
    fn place(self) -> &'static str {
        match self {
            Self::Push => "apple/push",
            Self::Ade => "apple/ade",
            Self::Apps => "apple/apps",
            Self::Tls => "certificate/mdm",
            Self::Authority => "certificate/authority",
            Self::Devices => "certificate/devices",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Push => "Apple's push certificate",
            Self::Ade => "the server token of Apple School Manager",
            Self::Apps => "the content token of Apps and Books",
            Self::Tls => "the certificate of [mdm]",
            Self::Authority => "the school's certificate authority",
            Self::Devices => "the authority of the iPads",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Push => {
                "renew it on the page Apple services, with the same Apple account: with another one every iPad has to enrol again"
            }
            Self::Ade => {
                "download a new token in Apple School Manager and import it on the page Apple services"
            }
            Self::Apps => {
                "download a new content token from Apple School Manager and import it on the page Apps"
            }
            Self::Tls => "renew it, and put certificate and key where `certificate` and `key` in [mdm] say",
            Self::Authority => "make a new one and tell all PCs and iPads of it",
            Self::Devices => "every iPad has to enrol again with a new one",
        }
    }
}

/// What a person has to hear of, as place, text and remedy.
pub(crate) fn notices(all: &[Expiring], now: UnixMillis) -> Vec<(String, String, String)> {
    all.iter()
        .filter_map(|it| {
            let left = it.ends_at.millis_since(now);
            let name = it.what.name();
            let text = if left <= 0 {
                format!("{name} has ended")
            } else {
                let days = DAYS.iter().rev().find(|days| left <= **days * DAY_MILLIS)?;
                format!("{name} ends in less than {days} days")
            };
            Some((it.what.place().to_owned(), text, it.what.remedy().to_owned()))
        })
        .collect()
}

const DAYS: [i64; 4] = [60, 30, 14, 7];
const DAY_MILLIS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_hears_of_it_in_time_and_until_it_is_renewed() {
        let day = |n: i64| UnixMillis(n * DAY_MILLIS);
        let said = |ends: i64, now: i64| -> Option<String> {
            let all = [Expiring { what: Kind::Push, ends_at: day(ends) }];
            notices(&all, day(now)).pop().map(|(_, text, _)| text)
        };
        assert_eq!(said(100, 39), None);
        for (now, days) in [(40, 60), (69, 60), (70, 30), (86, 14), (92, 14), (93, 7), (99, 7)] {
            assert_eq!(
                said(100, now).unwrap(),
                format!("Apple's push certificate ends in less than {days} days"),
                "{now}"
            );
        }
        for now in [100, 400] {
            assert_eq!(said(100, now).unwrap(), "Apple's push certificate has ended");
        }
        assert_eq!(said(465, 100), None, "renewed");
    }
}
