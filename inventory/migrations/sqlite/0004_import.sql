-- People and devices from files. Paired with ../postgres/0004_import.sql.

-- What the school's own system calls a person, and their name; empty for people whom somebody added by hand.
ALTER TABLE users ADD COLUMN external_id TEXT;
ALTER TABLE users ADD COLUMN first_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN last_name TEXT NOT NULL DEFAULT '';
-- The role that a file gave somebody. Only who has one can be missing from a later file.
ALTER TABLE users ADD COLUMN imported_as TEXT;
-- Since when somebody may not sign in; kept for a while, then removed.
ALTER TABLE users ADD COLUMN deactivated_at INTEGER;
CREATE UNIQUE INDEX users_external ON users (imported_as, external_id);

-- Whether a file put the person into the group, and so a later file may take them out.
ALTER TABLE members ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;

-- Files that were taken over. `counts` and `undo` are JSON; `undo` goes when it is too old to be of use.
CREATE TABLE imports (
    id BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    file_name TEXT NOT NULL,
    counts TEXT NOT NULL,
    undo TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    undone_by TEXT,
    undone_at INTEGER
) STRICT;
CREATE INDEX imports_created ON imports (created_at);
