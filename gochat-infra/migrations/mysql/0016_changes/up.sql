-- Changes of messages. `rev` numbers messages and changes of a conversation together: `rev` of a message never changes,
-- `changed_rev` is the number of its last change. 0 in both, as in rows from before, means `seq_id`: no conversation had a
-- change then. Columns are added without touching rows, the index is built while writes go on.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'changed_rev');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD COLUMN rev BIGINT NOT NULL DEFAULT 0, ADD COLUMN changed_rev BIGINT NOT NULL DEFAULT 0, ADD COLUMN edited_at DATETIME(3) NULL, ADD COLUMN edit_count INT NOT NULL DEFAULT 0, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
-- Not stored in the rows, only in the index.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'state_rev');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD COLUMN state_rev BIGINT GENERATED ALWAYS AS (CASE changed_rev WHEN 0 THEN seq_id ELSE changed_rev END) VIRTUAL, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
-- Finds what is new or changed since a rev.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'idx_conv_state_rev');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD INDEX idx_conv_state_rev (conversation_id, state_rev), ALGORITHM = INPLACE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- The newest rev; at least `last_seq_id`, whatever stands here.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'last_rev');
SET @statement = IF(@wanted,
    'ALTER TABLE conversations ADD COLUMN last_rev BIGINT NOT NULL DEFAULT 0, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- When a message was last changed: news of a sync, and no activity that moves the conversation in the list.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'changed_at');
SET @statement = IF(@wanted,
    'ALTER TABLE conversations ADD COLUMN changed_at DATETIME(3) NOT NULL DEFAULT ''1970-01-01'', ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Recognises a change that is sent again. Rows are deleted by age.
CREATE TABLE IF NOT EXISTS message_changes (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    rev             BIGINT      NOT NULL,
    sender_id       BIGINT      NOT NULL, -- who made the change
    client_msg_id   VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    message_id      BIGINT      NOT NULL,
    seq_id          BIGINT      NOT NULL,
    kind            INT         NOT NULL, -- 1 edit, 2 recall
    created_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (conversation_id, rev),
    KEY idx_change_client (conversation_id, sender_id, client_msg_id),
    KEY idx_change_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
