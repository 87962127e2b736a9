-- Changes of messages. `rev` numbers messages and changes of a conversation together: `rev` of a message never changes,
-- `changed_rev` is the number of its last change. 0 in both, as in rows from before, means `seq_id`: no conversation had a
-- change then.
ALTER TABLE messages ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN changed_rev INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN edited_at INTEGER;
ALTER TABLE messages ADD COLUMN edit_count INTEGER NOT NULL DEFAULT 0;
-- Not stored in the rows, only in the index: no row is rewritten.
ALTER TABLE messages ADD COLUMN state_rev INTEGER
    GENERATED ALWAYS AS (CASE changed_rev WHEN 0 THEN seq_id ELSE changed_rev END) VIRTUAL;
-- Finds what is new or changed since a rev.
CREATE INDEX idx_conv_state_rev ON messages (conversation_id, state_rev);

-- The newest rev; at least `last_seq_id`, whatever stands here.
ALTER TABLE conversations ADD COLUMN last_rev INTEGER NOT NULL DEFAULT 0;
-- When a message was last changed: news of a sync, and no activity that moves the conversation in the list.
ALTER TABLE conversations ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;

-- Recognises a change that is sent again. Rows are deleted by age.
CREATE TABLE message_changes (
    conversation_id TEXT    NOT NULL,
    rev             INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL, -- who made the change
    client_msg_id   TEXT,
    message_id      INTEGER NOT NULL,
    seq_id          INTEGER NOT NULL,
    kind            INTEGER NOT NULL, -- 1 edit, 2 recall
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, rev)
) WITHOUT ROWID;
CREATE INDEX idx_change_client ON message_changes (conversation_id, sender_id, client_msg_id);
CREATE INDEX idx_change_created ON message_changes (created_at);
