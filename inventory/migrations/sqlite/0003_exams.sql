-- Exams and their protocols. Paired with ../postgres/0003_exams.sql.

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
