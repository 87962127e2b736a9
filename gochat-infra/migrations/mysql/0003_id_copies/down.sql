-- Fails while two messages carry one id: one of them would be lost.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'uk_message_id');
SET @statement = IF(@wanted,
    'ALTER TABLE messages ADD UNIQUE KEY uk_message_id (id)',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'id_copy');
SET @statement = IF(@there,
    'ALTER TABLE messages DROP INDEX uk_message_id_copy, DROP COLUMN id_copy',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
