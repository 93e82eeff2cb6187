-- Who may use the internet, where and until when. Paired with ../sqlite/0002_gate.sql.

-- A list of domain names (and, where addresses make sense, of networks): written by the school in `names`, or fetched from `source`
-- into a file of the data folder.
CREATE TABLE name_lists (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    source TEXT,
    names TEXT NOT NULL,
    entries BIGINT NOT NULL,
    problem TEXT,
    updated_at BIGINT
);

-- What "filtered" means for some of the school.
CREATE TABLE filters (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    safe_search BOOLEAN NOT NULL,
    youtube TEXT NOT NULL
);

CREATE TABLE filter_lists (
    filter_id UUID NOT NULL REFERENCES filters (id) ON DELETE CASCADE,
    list_id UUID NOT NULL REFERENCES name_lists (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    PRIMARY KEY (filter_id, list_id)
);

-- Classes and other groups of people and devices.
CREATE TABLE school_groups (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    level TEXT,
    list_id UUID REFERENCES name_lists (id) ON DELETE SET NULL,
    filter_id UUID REFERENCES filters (id) ON DELETE SET NULL
);

CREATE TABLE members (
    group_id UUID NOT NULL REFERENCES school_groups (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE device_groups (
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    group_id UUID NOT NULL REFERENCES school_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (device_id, group_id)
);

-- A device's number in the kernel's tables. It never belongs to another device, not even after this one is deleted.
CREATE TABLE device_numbers (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id UUID NOT NULL UNIQUE REFERENCES devices (id) ON DELETE CASCADE
);
INSERT INTO device_numbers (device_id) SELECT id FROM devices ORDER BY created_at, name;

ALTER TABLE devices ADD COLUMN owner_id UUID REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE devices ADD COLUMN staff BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX devices_room ON devices (room_id);
CREATE INDEX devices_owner ON devices (owner_id);

ALTER TABLE rooms ADD COLUMN level TEXT;
ALTER TABLE rooms ADD COLUMN list_id UUID REFERENCES name_lists (id) ON DELETE SET NULL;
ALTER TABLE rooms ADD COLUMN filter_id UUID REFERENCES filters (id) ON DELETE SET NULL;

-- Without a level the gate leaves a network alone.
ALTER TABLE networks ADD COLUMN level TEXT;
ALTER TABLE networks ADD COLUMN list_id UUID REFERENCES name_lists (id) ON DELETE SET NULL;
ALTER TABLE networks ADD COLUMN filter_id UUID REFERENCES filters (id) ON DELETE SET NULL;
ALTER TABLE networks ADD COLUMN nat BOOLEAN NOT NULL DEFAULT FALSE;

-- Rules with a time. A rule that ended stays for the history.
CREATE TABLE gate_rules (
    id UUID PRIMARY KEY,
    layer TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id UUID NOT NULL,
    level TEXT NOT NULL,
    list_id UUID REFERENCES name_lists (id) ON DELETE SET NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX gate_rules_ends ON gate_rules (ends_at);

-- A device that belongs to another room for a while.
CREATE TABLE visits (
    device_id UUID PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    room_id UUID NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    ends_at BIGINT NOT NULL
);

CREATE INDEX visits_room ON visits (room_id);

-- What the kernel was read to enforce.
CREATE TABLE gate_confirmed (
    device_id UUID PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    level TEXT NOT NULL,
    ends_at BIGINT,
    confirmed_at BIGINT NOT NULL
);

-- The lessons of a week, in minutes since midnight; weekdays count from 1, Monday.
CREATE TABLE lessons (
    weekday BIGINT NOT NULL,
    number BIGINT NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    PRIMARY KEY (weekday, number)
);

-- Days that are not like their weekday, from `first` to `last` (YYYY-MM-DD). `lessons` is JSON like the rows above; [] is a holiday.
CREATE TABLE special_days (
    first TEXT PRIMARY KEY,
    last TEXT NOT NULL,
    name TEXT NOT NULL,
    lessons TEXT NOT NULL
);

ALTER TABLE rooms ADD COLUMN control TEXT NOT NULL DEFAULT 'teachers';
