-- Apps: the school's catalogue, who gets what, licences, and what iPads were told. Paired with ../postgres/0009_apps.sql.

-- An app of the App Store, by its number there. The counts are Apple's. `configuration` is sealed; `configuration_keys` are its names, JSON.
CREATE TABLE apps (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    bundle_id TEXT NOT NULL,
    version TEXT NOT NULL,
    pricing TEXT NOT NULL,
    total INTEGER NOT NULL,
    available INTEGER NOT NULL,
    usable INTEGER NOT NULL,
    configuration TEXT,
    configuration_keys TEXT NOT NULL
) STRICT;

-- Who gets an app: a device, a room, a class or group; all iPads where none of them is named.
CREATE TABLE app_assignments (
    id BLOB PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    device_id BLOB REFERENCES devices (id) ON DELETE CASCADE,
    room_id BLOB REFERENCES rooms (id) ON DELETE CASCADE,
    group_id BLOB REFERENCES school_groups (id) ON DELETE CASCADE,
    required INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX app_assignments_app ON app_assignments (app_id);

-- The licence of an app for the iPad with that serial number, from the wish until it was given back. It outlives app, iPad and device.
-- `location` is whose licences they are, `event` what Apple calls the request that is under way.
CREATE TABLE app_licences (
    app_id INTEGER NOT NULL,
    serial TEXT NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    event TEXT,
    problem TEXT,
    tries INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, serial)
) STRICT;
CREATE INDEX app_licences_serial ON app_licences (serial);

-- What an iPad was told of an app last.
CREATE TABLE ipad_apps (
    enrolment_id BLOB NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    app_id INTEGER NOT NULL,
    told TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (enrolment_id, app_id)
) STRICT;
