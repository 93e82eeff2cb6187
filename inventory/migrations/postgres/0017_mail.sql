-- E-mail. Paired with ../sqlite/0017_mail.sql.

-- How it is sent, in one row. `password` is sealed for the account on that server; `recipients` is a JSON list.
CREATE TABLE mail_settings (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    host TEXT NOT NULL,
    port BIGINT NOT NULL,
    security TEXT NOT NULL,
    username TEXT,
    password TEXT,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    report BIGINT NOT NULL,
    alerts BIGINT NOT NULL
);

-- What a mail server took, by what it was about and for whom.
CREATE TABLE mails_sent (
    about TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (about, recipient)
);
