-- System messages that committed changes of groups still owe to their timelines. A row is written with the change and deleted once
-- its message has its place. Numbers are never used again: they are part of the messages' client ids.
CREATE TABLE IF NOT EXISTS owed_messages (
    id              BIGINT      NOT NULL AUTO_INCREMENT,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    sender_id       BIGINT      NOT NULL, -- who made the change
    content         TEXT        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, -- JSON
    created_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    KEY idx_owed_conversation (conversation_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
