-- Hardware and IP addresses in use together that no lease and no reservation explains. Paired with ../sqlite/0006_strays.sql.

CREATE TABLE strays (
    mac TEXT NOT NULL,
    ip BIGINT NOT NULL,
    network_id UUID NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (mac, ip)
);
CREATE INDEX strays_network ON strays (network_id, last_seen);
