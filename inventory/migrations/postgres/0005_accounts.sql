-- Sign-in in two steps, passwords that somebody else chose, API tokens. Paired with ../sqlite/0005_accounts.sql.

-- A temporary password was chosen by somebody else: its owner chooses an own one first of all.
ALTER TABLE users ADD COLUMN password_temporary BOOLEAN NOT NULL DEFAULT FALSE;
-- Secret of the second factor (RFC 6238), sealed with a key that is not in the database, and the last time step whose code was used.
ALTER TABLE users ADD COLUMN totp_secret TEXT;
ALTER TABLE users ADD COLUMN totp_step BIGINT NOT NULL DEFAULT 0;

CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

-- When the password was given last, and whether the second factor is still to come: then nothing is open yet.
ALTER TABLE sessions ADD COLUMN authenticated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN code_needed BOOLEAN NOT NULL DEFAULT FALSE;

-- Keys of programs. `scopes` and `networks` are JSON lists of texts; no networks means any address.
CREATE TABLE tokens (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token_hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    networks TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT
);
