-- The WLAN with the school account: rules, access points, guests, who joined. Paired with ../postgres/0025_wlan.sql.

-- Name, rules and options, in one row as JSON. `version` counts how often they were saved.
CREATE TABLE wlan_settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- `range` is an address or a network, such as 10.0.5.0/24; `secret` is sealed.
CREATE TABLE access_points (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    range TEXT NOT NULL UNIQUE,
    room_id BLOB REFERENCES rooms (id) ON DELETE SET NULL,
    secret TEXT NOT NULL,
    last_seen INTEGER
) STRICT;

-- `code_hash` is the SHA-256 of the code that a guest types.
CREATE TABLE wlan_vouchers (
    id BLOB PRIMARY KEY,
    code_hash TEXT NOT NULL UNIQUE,
    note TEXT NOT NULL,
    devices_max INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;

-- A password that is for the WLAN alone (PEAP), and the key of a device without an account; both sealed.
CREATE TABLE wlan_passwords (
    user_id BLOB PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL
) STRICT;
CREATE TABLE wlan_device_keys (
    device_id BLOB PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL
) STRICT;

-- What joined last under a hardware address; exactly one of person, device and voucher.
CREATE TABLE wlan_stations (
    mac TEXT PRIMARY KEY,
    user_id BLOB REFERENCES users (id) ON DELETE CASCADE,
    device_id BLOB REFERENCES devices (id) ON DELETE CASCADE,
    voucher_id BLOB REFERENCES wlan_vouchers (id) ON DELETE CASCADE,
    access_point_id BLOB REFERENCES access_points (id) ON DELETE SET NULL,
    method TEXT NOT NULL,
    vlan INTEGER,
    joined_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    left_at INTEGER
) STRICT;
CREATE INDEX wlan_stations_user ON wlan_stations (user_id);
CREATE INDEX wlan_stations_device ON wlan_stations (device_id);
CREATE INDEX wlan_stations_voucher ON wlan_stations (voucher_id);
CREATE INDEX wlan_stations_last ON wlan_stations (last_at);

-- Who was turned away lately, and why (JSON).
CREATE TABLE wlan_refusals (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    mac TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    access_point_id BLOB REFERENCES access_points (id) ON DELETE SET NULL
) STRICT;

-- Whether the access points tell where the device is, and no person.
ALTER TABLE visits ADD COLUMN wlan INTEGER NOT NULL DEFAULT 0;
