-- What is looked for while thousands of commands wait. Paired with ../postgres/0011_ipads_at_work.sql.

-- Every round asks what nobody made a command of yet.
CREATE INDEX mdm_commands_asked ON mdm_commands (seq) WHERE state = 'asked';
-- What iPads answer is forgotten after a while.
CREATE INDEX changes_of_ipads ON changes (at) WHERE entity = 'ipad';
