-- What messages refer to: messages they answer, users they name, messages they pass on. JSON; NULL when a message refers to nothing.
-- MySQL adds the column without touching rows. MariaDB copies the table, as it does for every column since 0016 indexes a virtual one.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'refs');
SET @statement = IF(@wanted,
    CONCAT('ALTER TABLE messages ADD COLUMN refs TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, ALGORITHM = ',
        IF(VERSION() LIKE '%MariaDB%', 'INPLACE, LOCK = SHARED', 'INSTANT')),
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Whom messages name; `user_id` 0 stands for everybody, and then no user stands beside it. Counts the unread ones of a user.
CREATE TABLE IF NOT EXISTS mentions (
    user_id         BIGINT NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    seq_id          BIGINT NOT NULL,
    sender_id       BIGINT NOT NULL, -- author of the message
    PRIMARY KEY (user_id, conversation_id, seq_id),
    -- Finds the rows of a message that is recalled.
    KEY idx_mention_message (conversation_id, seq_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
