-- What a message's row shows of its pin and its reactions, so that reading a message costs no look at other tables. `reactions` is
-- JSON: each emoji with its number of users, NULL without any. The number lies before 0016, because MariaDB adds no column without
-- touching rows once a table has an index on a virtual one; where 0016 was applied first, MariaDB copies the table.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'reactions');
SET @copied = VERSION() LIKE '%MariaDB%' AND (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'state_rev');
SET @statement = IF(@wanted,
    CONCAT('ALTER TABLE messages ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE, ADD COLUMN reactions TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, ALGORITHM = ',
        IF(@copied, 'INPLACE, LOCK = SHARED', 'INSTANT')),
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
