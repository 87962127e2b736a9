DROP TABLE IF EXISTS group_invitations;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'added_by');
SET @statement = IF(@there, 'ALTER TABLE users DROP COLUMN added_by', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
