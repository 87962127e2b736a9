-- One row per sign-in. After the end of a session expires_at is the time at which its last access token has expired.
CREATE TABLE IF NOT EXISTS sessions (
    id           VARCHAR(32)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id      BIGINT       NOT NULL,
    device       VARCHAR(64)  NOT NULL DEFAULT '',
    client       VARCHAR(256) NOT NULL DEFAULT '',
    address      VARCHAR(64)  NOT NULL DEFAULT '',
    created_at   DATETIME(3)  NOT NULL,
    last_used_at DATETIME(3)  NOT NULL,
    expires_at   DATETIME(3)  NOT NULL,
    generation   BIGINT       NOT NULL,
    rotated_at   DATETIME(3)  NOT NULL,
    refresh_hash VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ended_at     DATETIME(3)  NULL,
    end_reason   INT          NULL,
    PRIMARY KEY (id),
    KEY idx_sessions_user (user_id),
    KEY idx_sessions_expires (expires_at),
    KEY idx_sessions_ended (ended_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Refresh tokens from before sessions go on as sessions: the first half of the token's hash is the id, the generation is 0.
INSERT IGNORE INTO sessions (id, user_id, client, created_at, last_used_at, expires_at, generation, rotated_at, refresh_hash)
SELECT SUBSTRING(hash, 1, 32), user_id, SUBSTRING(client_info, 1, 255), created_at, created_at, expires_at, 0, created_at, hash
FROM refresh_tokens WHERE consumed_at IS NULL;

-- password_version counts changes of the password: a sign-in that was judged by an old one makes no session.
-- deleted_at: when the account was deleted; NULL again once its name is free.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'password_version');
SET @statement = IF(@wanted,
    'ALTER TABLE users ADD COLUMN password_version BIGINT NOT NULL DEFAULT 0, ADD COLUMN deleted_at DATETIME(3) NULL, ADD KEY idx_users_deleted (deleted_at)',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
