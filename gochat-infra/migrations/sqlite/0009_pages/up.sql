-- Who left a conversation, in order of user ids: pages of a member delta.
CREATE INDEX idx_left_conversation ON left_conversations (conversation_id, user_id, left_at);
-- Friend requests by their last change, on either side: pages of requests.
CREATE INDEX idx_requester_updated ON friendship_requests (requester_id, updated_at, id);
CREATE INDEX idx_target_updated ON friendship_requests (target_id, updated_at, id);
