DROP INDEX idx_target_updated;
DROP INDEX idx_requester_updated;
DROP INDEX idx_left_conversation;
