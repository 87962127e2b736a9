-- System messages that committed changes of groups still owe to their timelines. A row is written with the change and deleted once
-- its message has its place. Numbers are never used again: they are part of the messages' client ids.
CREATE TABLE owed_messages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT    NOT NULL,
    sender_id       INTEGER NOT NULL, -- who made the change
    content         TEXT    NOT NULL, -- JSON
    created_at      INTEGER NOT NULL
);
CREATE INDEX idx_owed_conversation ON owed_messages (conversation_id, id);
