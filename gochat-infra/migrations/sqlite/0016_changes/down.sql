DROP TABLE message_changes;
ALTER TABLE conversations DROP COLUMN changed_at;
ALTER TABLE conversations DROP COLUMN last_rev;
DROP INDEX idx_conv_state_rev;
ALTER TABLE messages DROP COLUMN state_rev;
ALTER TABLE messages DROP COLUMN edit_count;
ALTER TABLE messages DROP COLUMN edited_at;
ALTER TABLE messages DROP COLUMN changed_rev;
ALTER TABLE messages DROP COLUMN rev;
