-- The announcement of a group; version 0 when there never was one, an empty or absent text when it was removed.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'announcement_version');
SET @statement = IF(@wanted,
    'ALTER TABLE conversations ADD COLUMN announcement TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, ADD COLUMN announcement_version BIGINT NOT NULL DEFAULT 0, ADD COLUMN announcement_at DATETIME(3) NOT NULL DEFAULT ''1970-01-01'', ADD COLUMN announcement_by BIGINT NULL, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Up to which version members have read the announcement of a group. A new text is unread by its version: the rows of
-- older ones stay until their users read again.
CREATE TABLE IF NOT EXISTS announcement_reads (
    user_id         BIGINT NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    version         BIGINT NOT NULL,
    read_at         DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id, conversation_id),
    -- Counts the readers of one version, and pages through them.
    KEY idx_announcement_readers (conversation_id, version, read_at, user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- What messages said before they were edited, where the group keeps it. `edit_no` is the edit that made the text, 0 for
-- the text that was sent.
CREATE TABLE IF NOT EXISTS former_texts (
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    seq_id          BIGINT NOT NULL,
    edit_no         INT NOT NULL,
    content         MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    extra           MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    written_at      DATETIME(3) NOT NULL, -- when the message began to say it
    PRIMARY KEY (conversation_id, seq_id, edit_no)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Announcements stood in the settings before; the next edit of those takes them out.
UPDATE conversations SET announcement_version = 1, announcement_at = data_updated_at, announcement_by = owner_id,
    announcement = JSON_UNQUOTE(JSON_EXTRACT(settings, '$.group_settings.announcement'))
WHERE type = 2 AND announcement_version = 0 AND CASE WHEN JSON_VALID(settings)
    THEN JSON_TYPE(JSON_EXTRACT(settings, '$.group_settings.announcement')) = 'STRING'
        AND JSON_UNQUOTE(JSON_EXTRACT(settings, '$.group_settings.announcement')) <> '' ELSE 0 END;
