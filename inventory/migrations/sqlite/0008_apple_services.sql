-- Apple's services: push certificate, tokens, and the iPads that Apple School Manager lists for this school. Paired with ../postgres/0008_apple_services.sql.

-- `kind` is push, ade or apps. `secret` is what Apple gave and `request_key` the key made for the next one, both sealed; `request` is what
-- goes to Apple for it. `about` says to people what it is, `settings` is what they chose, `state` is the daemon's own.
CREATE TABLE apple_services (
    kind TEXT PRIMARY KEY,
    secret TEXT,
    about TEXT NOT NULL,
    ends_at INTEGER,
    request_key TEXT,
    request TEXT,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    problem TEXT,
    imported_by TEXT NOT NULL,
    imported_at INTEGER,
    checked_at INTEGER
) STRICT;

-- An iPad of Apple School Manager, or (`listed` is false) one that stood at the door and is not in it. `profile` is the one that it was
-- given there, `asked_at` when it stood at the door last.
CREATE TABLE ade_devices (
    serial TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    description TEXT NOT NULL,
    listed INTEGER NOT NULL,
    profile TEXT,
    status TEXT NOT NULL,
    problem TEXT,
    room_id BLOB REFERENCES rooms (id) ON DELETE SET NULL,
    group_id BLOB REFERENCES school_groups (id) ON DELETE SET NULL,
    added_at INTEGER NOT NULL,
    asked_at INTEGER
) STRICT;

-- The one serial number that an invitation is for.
ALTER TABLE mdm_invitations ADD COLUMN serial TEXT;

-- A password for the next certificate of an enrolled iPad, as its hash.
CREATE TABLE mdm_renewals (
    enrolment_id BLOB PRIMARY KEY REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE,
    key_hash TEXT,
    made_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;
