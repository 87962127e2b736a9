SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'friendship_requests' AND index_name = 'idx_target_updated');
SET @statement = IF(@there, 'ALTER TABLE friendship_requests DROP INDEX idx_target_updated', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'friendship_requests' AND index_name = 'idx_requester_updated');
SET @statement = IF(@there, 'ALTER TABLE friendship_requests DROP INDEX idx_requester_updated', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'left_conversations' AND index_name = 'idx_left_conversation');
SET @statement = IF(@there, 'ALTER TABLE left_conversations DROP INDEX idx_left_conversation', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
