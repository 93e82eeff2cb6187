-- Rules for iPads, and what iPads were told of them. Paired with ../sqlite/0010_mdm_rules.sql.

-- Without a target a rule is about the whole school. `content` is sealed: it may hold the password of a Wi-Fi network.
CREATE TABLE mdm_rules (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    target_kind TEXT,
    target_id UUID,
    holds TEXT NOT NULL,
    content TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- The token of the declarations that an iPad was last told of.
ALTER TABLE mdm_enrolments ADD COLUMN declared TEXT;

-- The apps that an exam leaves on iPads, as a JSON list of bundle identifiers; none: iPads stay as they are.
ALTER TABLE exams ADD COLUMN apps TEXT NOT NULL DEFAULT '[]';
