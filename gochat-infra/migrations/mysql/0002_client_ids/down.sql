SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'idx_conv_sender_client');
SET @statement = IF(@there, 'ALTER TABLE messages DROP INDEX idx_conv_sender_client', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
