-- The night shift. Paired with ../sqlite/0016_night.sql.

-- `evenings` has a bit for each day on which a shift begins, Monday's first; `begins` and `ends` are minutes since midnight.
CREATE TABLE night_plans (
    room_id UUID PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
    evenings BIGINT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    image BIGINT NOT NULL,
    switch_off BIGINT NOT NULL
);

-- How far PCs came in the shift that began on that day (2026-11-23).
CREATE TABLE night_notes (
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    evening TEXT NOT NULL,
    state TEXT NOT NULL,
    calls BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (device_id, evening)
);
