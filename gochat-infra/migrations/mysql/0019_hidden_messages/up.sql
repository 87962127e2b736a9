-- Up to where users cleared conversations for themselves, and how many later messages they deleted for themselves.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversation_states' AND column_name = 'cleared_up_to');
SET @statement = IF(@wanted,
    'ALTER TABLE conversation_states ADD COLUMN cleared_up_to BIGINT NOT NULL DEFAULT 0, ADD COLUMN hidden_count INT NOT NULL DEFAULT 0, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Messages that users deleted for themselves.
CREATE TABLE IF NOT EXISTS hidden_messages (
    user_id         BIGINT NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    seq_id          BIGINT NOT NULL,
    message_id      BIGINT NOT NULL,
    version         BIGINT NOT NULL, -- of the row in conversation_states with which it went
    PRIMARY KEY (user_id, conversation_id, seq_id),
    -- Lists what a device has missed.
    KEY idx_hidden_version (user_id, conversation_id, version)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
