-- Exams and their protocols, and the timetable of the internet. Paired with ../sqlite/0003_exams_timetable.sql.

CREATE TABLE exams (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    -- Who ended it before its time.
    ended_by TEXT
);
CREATE INDEX exams_ends ON exams (ends_at);

ALTER TABLE gate_rules ADD COLUMN exam_id UUID REFERENCES exams (id) ON DELETE SET NULL;
CREATE INDEX gate_rules_exam ON gate_rules (exam_id);

-- What was seen of the devices that sat an exam. The name is that of the time: the protocol outlives the device.
CREATE TABLE exam_devices (
    exam_id UUID NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    device_id UUID NOT NULL,
    name TEXT NOT NULL,
    first_seen BIGINT,
    last_seen BIGINT,
    refused BIGINT NOT NULL,
    dodged BIGINT NOT NULL,
    PRIMARY KEY (exam_id, device_id)
);

-- What holds at the same hours of every week. `days` has a bit for each weekday, the lowest is Monday; times are minutes since midnight.
CREATE TABLE timetable (
    id UUID PRIMARY KEY,
    target_kind TEXT NOT NULL,
    target_id UUID NOT NULL,
    level TEXT NOT NULL,
    list_id UUID REFERENCES name_lists (id) ON DELETE SET NULL,
    days BIGINT NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    school_days BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
