-- Exams and their protocols, and the timetable of the internet. Paired with ../postgres/0003_exams_timetable.sql.

CREATE TABLE exams (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    -- Who ended it before its time.
    ended_by TEXT
) STRICT;
CREATE INDEX exams_ends ON exams (ends_at);

ALTER TABLE gate_rules ADD COLUMN exam_id BLOB REFERENCES exams (id) ON DELETE SET NULL;
CREATE INDEX gate_rules_exam ON gate_rules (exam_id);

-- What was seen of the devices that sat an exam. The name is that of the time: the protocol outlives the device.
CREATE TABLE exam_devices (
    exam_id BLOB NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    device_id BLOB NOT NULL,
    name TEXT NOT NULL,
    first_seen INTEGER,
    last_seen INTEGER,
    refused INTEGER NOT NULL,
    dodged INTEGER NOT NULL,
    PRIMARY KEY (exam_id, device_id)
) STRICT;

-- What holds at the same hours of every week. `days` has a bit for each weekday, the lowest is Monday; times are minutes since midnight.
CREATE TABLE timetable (
    id BLOB PRIMARY KEY,
    target_kind TEXT NOT NULL,
    target_id BLOB NOT NULL,
    level TEXT NOT NULL,
    list_id BLOB REFERENCES name_lists (id) ON DELETE SET NULL,
    days INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    school_days INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
