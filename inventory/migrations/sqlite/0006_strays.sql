-- Hardware and IP addresses in use together that no lease and no reservation explains. Paired with ../postgres/0006_strays.sql.

CREATE TABLE strays (
    mac TEXT NOT NULL,
    ip INTEGER NOT NULL,
    network_id BLOB NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (mac, ip)
) STRICT;
CREATE INDEX strays_network ON strays (network_id, last_seen);
