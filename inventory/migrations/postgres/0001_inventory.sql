-- Instants are milliseconds UTC. Paired with ../sqlite/0001_inventory.sql.
CREATE TABLE rooms (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE networks (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cidr TEXT NOT NULL,
    router TEXT,
    pool_first TEXT NOT NULL,
    pool_last TEXT NOT NULL,
    lease_secs BIGINT NOT NULL,
    mode TEXT NOT NULL
);

CREATE TABLE images (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE image_versions (
    id UUID PRIMARY KEY,
    image_id UUID NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    manifest TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (image_id, version)
);

CREATE TABLE devices (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    room_id UUID NOT NULL REFERENCES rooms (id),
    key_fingerprint TEXT UNIQUE,
    hardware TEXT NOT NULL,
    serial TEXT NOT NULL,
    smbios_uuid TEXT NOT NULL,
    desired_image UUID REFERENCES images (id) ON DELETE SET NULL,
    observed TEXT NOT NULL,
    last_seen BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE interfaces (
    mac TEXT PRIMARY KEY,
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    reserved_ip TEXT UNIQUE
);
CREATE INDEX interfaces_device ON interfaces (device_id);

CREATE TABLE waiting (
    id UUID PRIMARY KEY,
    key_fingerprint TEXT NOT NULL UNIQUE,
    code TEXT NOT NULL UNIQUE,
    hardware TEXT NOT NULL,
    address TEXT NOT NULL,
    rejected BOOLEAN NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL
);

CREATE TABLE jobs (
    id UUID PRIMARY KEY,
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    image_id UUID NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    version BIGINT,
    state TEXT NOT NULL,
    progress TEXT NOT NULL,
    result TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX jobs_open ON jobs (device_id, state);
CREATE INDEX jobs_created ON jobs (created_at);

CREATE TABLE leases (
    ip BIGINT PRIMARY KEY,
    client TEXT NOT NULL,
    mac TEXT NOT NULL,
    hostname TEXT,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE users (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE notices (
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    text TEXT NOT NULL,
    remedy TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    PRIMARY KEY (source, place)
);

CREATE TABLE changes (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    entity TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL
);

-- Followers in other processes listen instead of polling.
CREATE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hausmeister_changes', '');
    RETURN NULL;
END $$;
CREATE TRIGGER changes_announced AFTER INSERT ON changes FOR EACH STATEMENT EXECUTE FUNCTION announce_change();
