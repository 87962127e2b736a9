DROP TABLE IF EXISTS message_changes;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'changed_at');
SET @statement = IF(@there, 'ALTER TABLE conversations DROP COLUMN changed_at', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'last_rev');
SET @statement = IF(@there, 'ALTER TABLE conversations DROP COLUMN last_rev', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'idx_conv_state_rev');
SET @statement = IF(@there, 'ALTER TABLE messages DROP INDEX idx_conv_state_rev', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'state_rev');
SET @statement = IF(@there, 'ALTER TABLE messages DROP COLUMN state_rev', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'changed_rev');
SET @statement = IF(@there,
    'ALTER TABLE messages DROP COLUMN rev, DROP COLUMN changed_rev, DROP COLUMN edited_at, DROP COLUMN edit_count',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
