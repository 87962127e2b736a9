DROP TABLE hidden_messages;
ALTER TABLE conversation_states DROP COLUMN hidden_count;
ALTER TABLE conversation_states DROP COLUMN cleared_up_to;
