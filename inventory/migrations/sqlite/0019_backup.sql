-- Backups. Paired with ../postgres/0019_backup.sql.

-- What was asked of the keeper of backups and what became of it.
CREATE TABLE backup_runs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    snapshot TEXT,
    asked_by TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    ended_at INTEGER,
    percent INTEGER NOT NULL,
    result TEXT NOT NULL
) STRICT;

-- What lies in the repository, as the keeper saw it last.
CREATE TABLE backup_snapshots (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    facts TEXT NOT NULL
) STRICT;

-- Where backups go, in one row; absent while nobody set any up.
CREATE TABLE backup_place (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    repository TEXT NOT NULL,
    next_at INTEGER NOT NULL
) STRICT;
