-- Keys that sign tokens. The private half is encrypted by im-logic. The generation decides between instances that make
-- a key at the same time.
CREATE TABLE signing_keys (
    generation INTEGER NOT NULL PRIMARY KEY,
    kid        TEXT    NOT NULL UNIQUE,
    algorithm  TEXT    NOT NULL,
    public_key TEXT    NOT NULL,
    sealed_key TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    retires_at INTEGER -- NULL while no newer key exists
);

-- Who did what, to whom, when, and with which outcome.
CREATE TABLE audit_records (
    id      INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT    NOT NULL DEFAULT '',
    address TEXT    NOT NULL DEFAULT '',
    outcome TEXT    NOT NULL,
    detail  TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX idx_audit_at ON audit_records (at);
CREATE INDEX idx_audit_actor ON audit_records (actor, id);
CREATE INDEX idx_audit_target ON audit_records (target, id);
