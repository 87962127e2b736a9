DROP TABLE IF EXISTS message_pins;
DROP TABLE IF EXISTS message_reactions;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'pinned_count');
SET @statement = IF(@there, 'ALTER TABLE conversations DROP COLUMN pinned_count', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
