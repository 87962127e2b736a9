-- What messages refer to: messages they answer, users they name, messages they pass on. JSON; NULL when a message refers to nothing.
ALTER TABLE messages ADD COLUMN refs TEXT;

-- Whom messages name; `user_id` 0 stands for everybody, and then no user stands beside it. Counts the unread ones of a user.
CREATE TABLE mentions (
    user_id         INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    seq_id          INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL, -- author of the message
    PRIMARY KEY (user_id, conversation_id, seq_id)
) WITHOUT ROWID;
-- Finds the rows of a message that is recalled.
CREATE INDEX idx_mention_message ON mentions (conversation_id, seq_id);
