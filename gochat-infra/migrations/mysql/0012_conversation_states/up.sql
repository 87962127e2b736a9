-- What a user keeps about a conversation alone. A conversation without a row has the defaults.
CREATE TABLE IF NOT EXISTS conversation_states (
    user_id         BIGINT      NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    mute_until      BIGINT      NULL, -- Unix seconds; 0 for good, NULL = not silent
    pinned          BOOLEAN     NOT NULL DEFAULT FALSE,
    archived        BOOLEAN     NOT NULL DEFAULT FALSE,
    marked_unread   BOOLEAN     NOT NULL DEFAULT FALSE,
    version         BIGINT      NOT NULL,
    updated_at      DATETIME(3) NOT NULL,
    draft           TEXT        NOT NULL,
    PRIMARY KEY (user_id, conversation_id),
    -- Counts the pins of a user.
    KEY idx_pinned (user_id, pinned)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
