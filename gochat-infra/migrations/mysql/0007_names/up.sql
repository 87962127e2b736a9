-- What a user's name looks like: names are unique by it. NULL in rows from before; the program fills them in.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'name_skeleton');
SET @statement = IF(@wanted,
    'ALTER TABLE users ADD COLUMN name_skeleton VARCHAR(750) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, ADD UNIQUE KEY uk_name_skeleton (name_skeleton)',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
