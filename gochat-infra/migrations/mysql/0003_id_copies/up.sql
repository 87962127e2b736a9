-- A message whose id stands under another place already is stored all the same: it was acknowledged. `id_copy` tells the
-- messages of one id apart; it is 0 for all but such messages, so the index still finds a repeated id at no cost.
-- The column is added without touching rows, the index is built while writes go on.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'id_copy');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD COLUMN id_copy SMALLINT UNSIGNED NOT NULL DEFAULT 0, ALGORITHM = INSTANT',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'uk_message_id_copy');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD UNIQUE KEY uk_message_id_copy (id, id_copy), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'uk_message_id');
SET @statement = IF(@there,
    'ALTER TABLE messages DROP INDEX uk_message_id, ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
