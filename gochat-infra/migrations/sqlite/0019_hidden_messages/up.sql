-- Up to where users cleared conversations for themselves, and how many later messages they deleted for themselves.
ALTER TABLE conversation_states ADD COLUMN cleared_up_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation_states ADD COLUMN hidden_count INTEGER NOT NULL DEFAULT 0;

-- Messages that users deleted for themselves.
CREATE TABLE hidden_messages (
    user_id         INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    seq_id          INTEGER NOT NULL,
    message_id      INTEGER NOT NULL,
    version         INTEGER NOT NULL, -- of the row in conversation_states with which it went
    PRIMARY KEY (user_id, conversation_id, seq_id)
) WITHOUT ROWID;
-- Lists what a device has missed.
CREATE INDEX idx_hidden_version ON hidden_messages (user_id, conversation_id, version);
