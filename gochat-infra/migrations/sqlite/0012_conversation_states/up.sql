-- What a user keeps about a conversation alone. A conversation without a row has the defaults.
CREATE TABLE conversation_states (
    user_id         INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    mute_until      INTEGER, -- Unix seconds; 0 for good, NULL = not silent
    pinned          INTEGER NOT NULL DEFAULT 0,
    archived        INTEGER NOT NULL DEFAULT 0,
    marked_unread   INTEGER NOT NULL DEFAULT 0,
    version         INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    draft           TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;
-- Counts the pins of a user.
CREATE INDEX idx_pinned ON conversation_states (user_id) WHERE pinned = 1;
