DROP TABLE IF EXISTS mentions;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'refs');
SET @statement = IF(@there, 'ALTER TABLE messages DROP COLUMN refs', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
