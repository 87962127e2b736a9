SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'name_skeleton');
SET @statement = IF(@there, 'ALTER TABLE users DROP INDEX uk_name_skeleton, DROP COLUMN name_skeleton', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
