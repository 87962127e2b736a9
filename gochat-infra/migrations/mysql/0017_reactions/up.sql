-- Reactions and pins: who made them. What a message shows of both stands in its row (0013).
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'pinned_count');
SET @statement = IF(@wanted,
    'ALTER TABLE conversations ADD COLUMN pinned_count INT NOT NULL DEFAULT 0, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Who reacted. `rev` is the number of the change that put the reaction there: pages go by it.
CREATE TABLE IF NOT EXISTS message_reactions (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    message_id      BIGINT      NOT NULL,
    rev             BIGINT      NOT NULL,
    seq_id          BIGINT      NOT NULL,
    user_id         BIGINT      NOT NULL,
    emoji           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (conversation_id, message_id, rev),
    -- A user puts an emoji under a message once; finds what a user reacted with.
    UNIQUE KEY uk_reaction (conversation_id, user_id, message_id, emoji),
    -- Who reacted with one emoji.
    KEY idx_reaction_emoji (conversation_id, message_id, emoji, rev)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Pinned messages. `rev` is the number of the change that pinned the message last: the newest stands on top.
CREATE TABLE IF NOT EXISTS message_pins (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    message_id      BIGINT      NOT NULL,
    seq_id          BIGINT      NOT NULL,
    rev             BIGINT      NOT NULL,
    user_id         BIGINT      NOT NULL, -- who pinned it
    created_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (conversation_id, message_id),
    KEY idx_pin_rev (conversation_id, rev)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
