DROP TABLE message_pins;
DROP TABLE message_reactions;
ALTER TABLE conversations DROP COLUMN pinned_count;
