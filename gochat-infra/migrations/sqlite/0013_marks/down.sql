ALTER TABLE messages DROP COLUMN reactions;
ALTER TABLE messages DROP COLUMN pinned;
