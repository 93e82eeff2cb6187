-- Instants are milliseconds UTC. Paired with ../postgres/0001_inventory.sql.
CREATE TABLE rooms (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE networks (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cidr TEXT NOT NULL,
    router TEXT,
    pool_first TEXT NOT NULL,
    pool_last TEXT NOT NULL,
    lease_secs INTEGER NOT NULL,
    mode TEXT NOT NULL
) STRICT;

CREATE TABLE images (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE image_versions (
    id BLOB PRIMARY KEY,
    image_id BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (image_id, version)
) STRICT;

CREATE TABLE devices (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    room_id BLOB NOT NULL REFERENCES rooms (id),
    key_fingerprint TEXT UNIQUE,
    hardware TEXT NOT NULL,
    serial TEXT NOT NULL,
    smbios_uuid TEXT NOT NULL,
    desired_image BLOB REFERENCES images (id) ON DELETE SET NULL,
    observed TEXT NOT NULL,
    last_seen INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE interfaces (
    mac TEXT PRIMARY KEY,
    device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    reserved_ip TEXT UNIQUE
) STRICT;
CREATE INDEX interfaces_device ON interfaces (device_id);

CREATE TABLE waiting (
    id BLOB PRIMARY KEY,
    key_fingerprint TEXT NOT NULL UNIQUE,
    code TEXT NOT NULL UNIQUE,
    hardware TEXT NOT NULL,
    address TEXT NOT NULL,
    rejected INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    image_id BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    version INTEGER,
    state TEXT NOT NULL,
    progress TEXT NOT NULL,
    result TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;
CREATE INDEX jobs_open ON jobs (device_id, state);
CREATE INDEX jobs_created ON jobs (created_at);

CREATE TABLE leases (
    ip INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    mac TEXT NOT NULL,
    hostname TEXT,
    state TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE notices (
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    text TEXT NOT NULL,
    remedy TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    PRIMARY KEY (source, place)
) STRICT;

CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    entity TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL
) STRICT;
