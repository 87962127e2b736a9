SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'reactions');
SET @statement = IF(@there, 'ALTER TABLE messages DROP COLUMN pinned, DROP COLUMN reactions', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
