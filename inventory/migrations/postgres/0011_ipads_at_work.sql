-- What is looked for while thousands of iPads enrol and thousands of commands wait. Paired with ../sqlite/0011_ipads_at_work.sql.

-- SQLite takes "IS NULL" for rare: with these, whoever looks for open commands does not walk through those of all iPads.
DROP INDEX mdm_commands_ended;
CREATE INDEX mdm_commands_ended ON mdm_commands (ended_at) WHERE ended_at IS NOT NULL;
DROP INDEX mdm_commands_open;
CREATE INDEX mdm_commands_open ON mdm_commands (enrolment_id, ended_at, seq);
-- Whom to wake, and whose time is over.
CREATE INDEX mdm_commands_ends ON mdm_commands (ends_at) WHERE ended_at IS NULL;
-- Every round asks what nobody made a command of yet.
CREATE INDEX mdm_commands_asked ON mdm_commands (seq) WHERE state = 'asked';
-- What iPads answer is forgotten after a while.
CREATE INDEX changes_of_ipads ON changes (at) WHERE entity = 'ipad';
CREATE INDEX mdm_challenges_end ON mdm_challenges (ends_at);
CREATE INDEX mdm_challenges_unused ON mdm_challenges (invitation_id) WHERE key_hash IS NULL;
CREATE INDEX devices_serial ON devices (serial, key_fingerprint);
-- Every round asks who waits in the setup assistant; hardly anybody does.
CREATE INDEX mdm_enrolments_awaiting ON mdm_enrolments (enrolled_at) WHERE awaiting;
