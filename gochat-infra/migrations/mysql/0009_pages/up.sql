-- Indexes that lists are paged on. Built while writes go on; MySQL has no IF NOT EXISTS for an index.
-- Who left a conversation, in order of user ids: pages of a member delta.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'left_conversations' AND index_name = 'idx_left_conversation');
SET @statement = IF(@wanted,
    'ALTER TABLE left_conversations ADD INDEX idx_left_conversation (conversation_id, user_id, left_at), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
-- Friend requests by their last change, on either side: pages of requests.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'friendship_requests' AND index_name = 'idx_requester_updated');
SET @statement = IF(@wanted,
    'ALTER TABLE friendship_requests ADD INDEX idx_requester_updated (requester_id, updated_at, id), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'friendship_requests' AND index_name = 'idx_target_updated');
SET @statement = IF(@wanted,
    'ALTER TABLE friendship_requests ADD INDEX idx_target_updated (target_id, updated_at, id), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
