-- Who signed in on an iPad that enrols by account. Paired with ../postgres/0013_ipad_accounts.sql.

ALTER TABLE mdm_challenges ADD COLUMN account TEXT;
ALTER TABLE mdm_enrolments ADD COLUMN account TEXT;
