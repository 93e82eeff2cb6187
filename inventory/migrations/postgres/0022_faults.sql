-- Faults that people report. Paired with ../sqlite/0022_faults.sql.

-- `place` is what room and device were called; it stays when they are gone.
CREATE TABLE faults (
    id TEXT PRIMARY KEY,
    room_id UUID REFERENCES rooms (id) ON DELETE SET NULL,
    device_id UUID REFERENCES devices (id) ON DELETE SET NULL,
    place TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX faults_by_state ON faults (state, changed_at);

-- What happened to each, in order.
CREATE TABLE fault_events (
    fault_id TEXT NOT NULL REFERENCES faults (id) ON DELETE CASCADE,
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (fault_id, n)
);
