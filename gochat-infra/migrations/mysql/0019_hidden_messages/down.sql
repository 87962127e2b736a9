DROP TABLE IF EXISTS hidden_messages;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversation_states' AND column_name = 'cleared_up_to');
SET @statement = IF(@there, 'ALTER TABLE conversation_states DROP COLUMN hidden_count, DROP COLUMN cleared_up_to', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
