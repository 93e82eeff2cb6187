-- iPads: invitations, certificates, enrolments, commands. Paired with ../sqlite/0007_mdm.sql.

-- A link that enrols iPads: one, or as many as `uses_left`. The database knows the hash of its token only.
CREATE TABLE mdm_invitations (
    id UUID PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    device_id UUID REFERENCES devices (id) ON DELETE CASCADE,
    room_id UUID NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    group_id UUID REFERENCES school_groups (id) ON DELETE SET NULL,
    uses_left BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);

-- A password for one certificate (RFC 8894), as its hash. `key_hash` is the key that got one: it may ask again, another may not.
CREATE TABLE mdm_challenges (
    hash TEXT PRIMARY KEY,
    invitation_id UUID NOT NULL REFERENCES mdm_invitations (id) ON DELETE CASCADE,
    enrolment_id UUID NOT NULL UNIQUE,
    key_hash TEXT,
    ends_at BIGINT NOT NULL
);
CREATE INDEX mdm_challenges_invitation ON mdm_challenges (invitation_id);

-- `push` and `unlock_token` are sealed, `card` is the hardware address that the iPad reported. `enrolment_id` of a certificate is its common name.
CREATE TABLE mdm_enrolments (
    id UUID PRIMARY KEY,
    invitation_id UUID REFERENCES mdm_invitations (id) ON DELETE SET NULL,
    device_id UUID REFERENCES devices (id) ON DELETE CASCADE,
    udid TEXT,
    serial TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    os_version TEXT NOT NULL,
    push TEXT,
    unlock_token TEXT,
    card TEXT,
    awaiting BOOLEAN NOT NULL,
    enrolled_at BIGINT,
    last_seen BIGINT
);
CREATE UNIQUE INDEX mdm_enrolments_udid ON mdm_enrolments (udid) WHERE state IN ('authenticated', 'enrolled');
CREATE INDEX mdm_enrolments_device ON mdm_enrolments (device_id);

CREATE TABLE mdm_certificates (
    fingerprint TEXT PRIMARY KEY,
    enrolment_id UUID NOT NULL,
    invitation_id UUID,
    serial TEXT NOT NULL UNIQUE,
    issued_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX mdm_certificates_enrolment ON mdm_certificates (enrolment_id);

-- `action` is what somebody asked for; `body` is the command made of it, sealed. A command is open until `ended_at`. `tries` counts how
-- often it was handed out since the iPad last answered it sensibly, `deferred` how often the iPad was busy; before `not_before` nobody is
-- woken for it.
CREATE TABLE mdm_commands (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    enrolment_id UUID NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    action TEXT,
    body TEXT NOT NULL,
    replaces TEXT NOT NULL,
    repeatable BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    priority BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    deferred BIGINT NOT NULL DEFAULT 0,
    problem TEXT,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX mdm_commands_open ON mdm_commands (enrolment_id, seq) WHERE ended_at IS NULL;
CREATE INDEX mdm_commands_all ON mdm_commands (enrolment_id, seq);
CREATE INDEX mdm_commands_ended ON mdm_commands (ended_at);

-- What an iPad said of itself last, by kind of question.
CREATE TABLE mdm_reports (
    enrolment_id UUID NOT NULL REFERENCES mdm_enrolments (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (enrolment_id, kind)
);
