-- Number of edits so far: what If-Match and `version` compare. Older programs don't count their edits. A column at the
-- end is added without a copy of the table.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'version');
SET @statement = IF(@wanted, 'ALTER TABLE users ADD COLUMN version BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'version');
SET @statement = IF(@wanted, 'ALTER TABLE conversations ADD COLUMN version BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
