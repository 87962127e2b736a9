-- Fails while two messages carry one id: one of them would be lost.
CREATE UNIQUE INDEX uk_message_id ON messages (id);
DROP INDEX uk_message_id_copy;
ALTER TABLE messages DROP COLUMN id_copy;
