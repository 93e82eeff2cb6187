-- Programs of PCs: the catalogue, who should have what, what is there, what became of steps. Paired with ../postgres/0014_software.sql.

-- One version of a program for one system; `definition` is the whole of it as JSON. Its files lie in the data folder by their hash.
CREATE TABLE packages (
    id BLOB PRIMARY KEY,
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX packages_package ON packages (package);

-- Without device, room and group it holds for the school.
CREATE TABLE package_wishes (
    id BLOB PRIMARY KEY,
    package TEXT NOT NULL,
    device_id BLOB REFERENCES devices (id) ON DELETE CASCADE,
    room_id BLOB REFERENCES rooms (id) ON DELETE CASCADE,
    group_id BLOB REFERENCES school_groups (id) ON DELETE CASCADE,
    wish TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX package_wishes_package ON package_wishes (package);

CREATE TABLE pc_software (
    device_id BLOB PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    system TEXT NOT NULL,
    architecture TEXT NOT NULL,
    observed TEXT NOT NULL,
    reported_at INTEGER NOT NULL
) STRICT;

-- What became of a package on a PC the last time; nothing after a person said to try again, which counts `round`.
CREATE TABLE package_turns (
    device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    package TEXT NOT NULL,
    turn TEXT,
    round INTEGER NOT NULL,
    PRIMARY KEY (device_id, package)
) STRICT;
