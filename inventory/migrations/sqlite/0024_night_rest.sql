-- The night that a room's shift leaves out (2026-11-23, the day on which it would begin). Paired with ../postgres/0024_night_rest.sql.
ALTER TABLE night_plans ADD COLUMN rests_on TEXT;
