-- E-mail. Paired with ../postgres/0017_mail.sql.

-- How it is sent, in one row. `password` is sealed for the account on that server; `recipients` is a JSON list.
CREATE TABLE mail_settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    security TEXT NOT NULL,
    username TEXT,
    password TEXT,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    report INTEGER NOT NULL,
    alerts INTEGER NOT NULL
) STRICT;

-- What a mail server took, by what it was about and for whom.
CREATE TABLE mails_sent (
    about TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (about, recipient)
) STRICT;
