SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'version');
SET @statement = IF(@there, 'ALTER TABLE conversations DROP COLUMN version', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'version');
SET @statement = IF(@there, 'ALTER TABLE users DROP COLUMN version', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
