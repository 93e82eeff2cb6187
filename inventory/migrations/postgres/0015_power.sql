-- Switching PCs on and off. Paired with ../sqlite/0015_power.sql.

-- What was asked of a PC last: "on", "restart" or "off".
CREATE TABLE power_asks (
    device_id UUID PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    power TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    told_at BIGINT
);

-- Whether somebody was signed in when a PC said what it has.
ALTER TABLE pc_software ADD COLUMN signed_in BIGINT NOT NULL DEFAULT 0;
