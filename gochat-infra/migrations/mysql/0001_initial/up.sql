-- Times are UTC. Ids are Snowflakes made by the services. No foreign keys. Ids and keys compare by their bytes
-- (utf8mb4_bin); both collations exist in MySQL 8 and in MariaDB 10.11.
-- Data definition commits by itself, so every statement can be repeated: a run that was cut off is run again.
-- Why every table is clustered the way it is: docs/data-model.md.

CREATE TABLE IF NOT EXISTS users (
    id            BIGINT       NOT NULL,
    username      VARCHAR(50)  NOT NULL,
    username_key  VARCHAR(150) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, -- lower case: unique in any spelling
    password_hash VARCHAR(255) NOT NULL DEFAULT '',
    avatar_url    VARCHAR(255) NOT NULL DEFAULT '',
    is_guest      BOOLEAN      NOT NULL DEFAULT FALSE,
    status        INT          NOT NULL DEFAULT 0,
    created_at    DATETIME(3)  NOT NULL,
    updated_at    DATETIME(3)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uk_username (username_key),
    KEY idx_is_guest (is_guest, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS conversations (
    id              VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    type            INT          NOT NULL,
    dissolved       BOOLEAN      NOT NULL DEFAULT FALSE,
    updated_at      DATETIME(3)  NOT NULL,
    last_seq_id     BIGINT       NOT NULL DEFAULT 0,
    last_message_id BIGINT       NULL,
    member_count    INT          NOT NULL DEFAULT 0,
    owner_id        BIGINT       NULL,
    created_at      DATETIME(3)  NOT NULL,
    data_updated_at DATETIME(3)  NOT NULL, -- last change of what people edit; new messages don't count
    name            VARCHAR(100) NOT NULL DEFAULT '',
    avatar_url      VARCHAR(255) NOT NULL DEFAULT '',
    description     TEXT         NOT NULL,
    settings        TEXT         NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS conversation_members (
    id              BIGINT      NOT NULL AUTO_INCREMENT,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id         BIGINT      NOT NULL,
    role            INT         NOT NULL DEFAULT 1,
    muted           BOOLEAN     NOT NULL DEFAULT FALSE,
    muted_until     DATETIME(3) NULL,
    hidden          BOOLEAN     NOT NULL DEFAULT FALSE,
    joined_at       DATETIME(3) NOT NULL,
    updated_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uk_conv_user (conversation_id, user_id),
    -- Covers what the list asks of every membership. Uniqueness is uk_conv_user's business.
    KEY idx_user_conv (user_id, conversation_id, hidden, updated_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Who left what and when, for incremental sync.
CREATE TABLE IF NOT EXISTS left_conversations (
    user_id         BIGINT      NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    left_at         DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS messages (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    seq_id          BIGINT      NOT NULL,
    id              BIGINT      NOT NULL,
    sender_id       BIGINT      NOT NULL,
    message_type    INT         NOT NULL DEFAULT 1,
    deleted         BOOLEAN     NOT NULL DEFAULT FALSE,
    created_at      DATETIME(3) NOT NULL,
    updated_at      DATETIME(3) NOT NULL,
    client_msg_id   VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    content         MEDIUMTEXT  NOT NULL,
    extra           MEDIUMTEXT  NULL,
    PRIMARY KEY (conversation_id, seq_id),
    UNIQUE KEY uk_message_id (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS user_read_pointers (
    user_id          BIGINT      NOT NULL,
    conversation_id  VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    last_read_seq_id BIGINT      NOT NULL DEFAULT 0,
    updated_at       DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS friendship_requests (
    id                BIGINT       NOT NULL,
    requester_id      BIGINT       NOT NULL,
    target_id         BIGINT       NOT NULL,
    status            INT          NOT NULL DEFAULT 0,
    mirrored          BOOLEAN      NOT NULL DEFAULT FALSE,
    created_at        DATETIME(3)  NOT NULL,
    updated_at        DATETIME(3)  NOT NULL,
    requester_remarks VARCHAR(100) NOT NULL DEFAULT '',
    target_remarks    VARCHAR(100) NOT NULL DEFAULT '',
    message           TEXT         NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uk_requester_target (requester_id, target_id),
    KEY idx_requester_status (requester_id, status, target_id),
    KEY idx_target_status (target_id, status)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash              VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id           BIGINT       NOT NULL,
    created_at        DATETIME(3)  NOT NULL,
    expires_at        DATETIME(3)  NOT NULL,
    consumed_at       DATETIME(3)  NULL,
    client_info       VARCHAR(1024) NOT NULL DEFAULT '',
    access_hash       VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '', -- of the access token handed out with it
    access_jti        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    access_expires_at DATETIME(3)  NOT NULL,
    PRIMARY KEY (hash),
    KEY idx_refresh_access (access_hash),
    KEY idx_refresh_user (user_id),
    KEY idx_refresh_expires (expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS token_revocations (
    token      VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, -- t:<hash of an access token> or u:<user id>
    revoked_at DATETIME(3) NOT NULL,
    expires_at DATETIME(3) NOT NULL,
    PRIMARY KEY (token),
    KEY idx_revocations_expires (expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- One row, written on the primary about once a second by services that read from replicas: how far behind one is.
CREATE TABLE IF NOT EXISTS replica_heartbeat (
    id   INT         NOT NULL,
    beat DATETIME(3) NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW group_members (id, group_id, user_id, role, joined_at) AS
    SELECT m.id, m.conversation_id, m.user_id, m.role, m.joined_at
    FROM conversation_members m
    JOIN conversations c ON c.id = m.conversation_id
    WHERE c.type = 2;

-- The one conversation everybody is in.
INSERT INTO conversations (id, type, name, description, settings, created_at, updated_at, data_updated_at)
VALUES ('world', 3, 'World Chat', '', '', '1970-01-01', '1970-01-01', '1970-01-01')
ON DUPLICATE KEY UPDATE type = 3;
