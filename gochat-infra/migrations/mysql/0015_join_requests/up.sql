-- Requests to join groups, one per user and group. Rows end with expires_at.
CREATE TABLE IF NOT EXISTS join_requests (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id         BIGINT       NOT NULL,
    id              BIGINT       NOT NULL,
    status          INT          NOT NULL, -- 0 open, 1 accepted, 2 rejected
    text            VARCHAR(255) NOT NULL,
    created_at      DATETIME(3)  NOT NULL,
    changed_at      DATETIME(3)  NOT NULL,
    expires_at      DATETIME(3)  NOT NULL,
    PRIMARY KEY (conversation_id, user_id),
    KEY idx_join_group (conversation_id, status, id),
    KEY idx_join_user (user_id, status, expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
