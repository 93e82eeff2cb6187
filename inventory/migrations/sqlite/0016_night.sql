-- The night shift. Paired with ../postgres/0016_night.sql.

-- `evenings` has a bit for each day on which a shift begins, Monday's first; `begins` and `ends` are minutes since midnight.
CREATE TABLE night_plans (
    room_id BLOB PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
    evenings INTEGER NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    image INTEGER NOT NULL,
    switch_off INTEGER NOT NULL
) STRICT;

-- How far PCs came in the shift that began on that day (2026-11-23).
CREATE TABLE night_notes (
    device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    evening TEXT NOT NULL,
    state TEXT NOT NULL,
    calls INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (device_id, evening)
) STRICT;
