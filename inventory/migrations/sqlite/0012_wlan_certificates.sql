-- Certificates by which iPads join the school's WLAN (EAP-TLS), apart from those of their management. Paired with ../postgres/0012_wlan_certificates.sql.

-- A password for one certificate, as its hash; `key_hash` is the key that got one.
CREATE TABLE wlan_challenges (
    hash TEXT PRIMARY KEY,
    enrolment_id BLOB NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    key_hash TEXT,
    ends_at INTEGER NOT NULL
) STRICT;
CREATE INDEX wlan_challenges_enrolment ON wlan_challenges (enrolment_id);

CREATE TABLE wlan_certificates (
    fingerprint TEXT PRIMARY KEY,
    enrolment_id BLOB NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    serial TEXT NOT NULL UNIQUE,
    issued_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX wlan_certificates_enrolment ON wlan_certificates (enrolment_id);
