SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'password_version');
SET @statement = IF(@there,
    'ALTER TABLE users DROP KEY idx_users_deleted, DROP COLUMN deleted_at, DROP COLUMN password_version', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
DROP TABLE IF EXISTS sessions;
