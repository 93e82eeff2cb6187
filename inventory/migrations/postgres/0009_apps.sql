-- Apps: the school's catalogue, who gets what, licences, and what iPads were told. Paired with ../sqlite/0009_apps.sql.

-- An app of the App Store, by its number there. The counts are Apple's. `configuration` is sealed; `configuration_keys` are its names, JSON.
CREATE TABLE apps (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    bundle_id TEXT NOT NULL,
    version TEXT NOT NULL,
    pricing TEXT NOT NULL,
    total BIGINT NOT NULL,
    available BIGINT NOT NULL,
    usable BOOLEAN NOT NULL,
    configuration TEXT,
    configuration_keys TEXT NOT NULL
);

-- Who gets an app: a device, a room, a class or group; all iPads where none of them is named.
CREATE TABLE app_assignments (
    id UUID PRIMARY KEY,
    app_id BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    device_id UUID REFERENCES devices (id) ON DELETE CASCADE,
    room_id UUID REFERENCES rooms (id) ON DELETE CASCADE,
    group_id UUID REFERENCES school_groups (id) ON DELETE CASCADE,
    required BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX app_assignments_app ON app_assignments (app_id);

-- The licence of an app for the iPad with that serial number, from the wish until it was given back. It outlives app, iPad and device.
-- `location` is whose licences they are, `event` what Apple calls the request that is under way.
CREATE TABLE app_licences (
    app_id BIGINT NOT NULL,
    serial TEXT NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    event TEXT,
    problem TEXT,
    tries BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (app_id, serial)
);
CREATE INDEX app_licences_serial ON app_licences (serial);

-- What an iPad was told of an app last.
CREATE TABLE ipad_apps (
    enrolment_id UUID NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    app_id BIGINT NOT NULL,
    told TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (enrolment_id, app_id)
);
