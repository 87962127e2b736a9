-- Keys that sign tokens. The private half is encrypted by im-logic. The generation decides between instances that make
-- a key at the same time.
CREATE TABLE IF NOT EXISTS signing_keys (
    generation BIGINT       NOT NULL,
    kid        VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    algorithm  VARCHAR(20)  NOT NULL,
    public_key VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    sealed_key VARCHAR(2048) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at DATETIME(3)  NOT NULL,
    signs_from DATETIME(3)  NOT NULL,
    retires_at DATETIME(3)  NULL, -- NULL while no newer key exists
    PRIMARY KEY (generation),
    UNIQUE KEY uk_signing_kid (kid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Who did what, to whom, when, and with which outcome.
CREATE TABLE IF NOT EXISTS audit_records (
    id      BIGINT        NOT NULL,
    at      DATETIME(3)   NOT NULL,
    actor   VARCHAR(100)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    action  VARCHAR(50)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    target  VARCHAR(100)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    address VARCHAR(64)   NOT NULL DEFAULT '',
    outcome VARCHAR(50)   NOT NULL,
    detail  VARCHAR(2000) NOT NULL DEFAULT '',
    PRIMARY KEY (id),
    KEY idx_audit_at (at),
    KEY idx_audit_actor (actor, id),
    KEY idx_audit_target (target, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
