-- Reactions and pins: who made them. What a message shows of both stands in its row (0013).
ALTER TABLE conversations ADD COLUMN pinned_count INTEGER NOT NULL DEFAULT 0;

-- Who reacted. `rev` is the number of the change that put the reaction there: pages go by it.
CREATE TABLE message_reactions (
    conversation_id TEXT    NOT NULL,
    message_id      INTEGER NOT NULL,
    rev             INTEGER NOT NULL,
    seq_id          INTEGER NOT NULL,
    user_id         INTEGER NOT NULL,
    emoji           TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_id, rev)
) WITHOUT ROWID;
-- A user puts an emoji under a message once; finds what a user reacted with.
CREATE UNIQUE INDEX uk_reaction ON message_reactions (conversation_id, user_id, message_id, emoji);
-- Who reacted with one emoji.
CREATE INDEX idx_reaction_emoji ON message_reactions (conversation_id, message_id, emoji, rev);

-- Pinned messages. `rev` is the number of the change that pinned the message last: the newest stands on top.
CREATE TABLE message_pins (
    conversation_id TEXT    NOT NULL,
    message_id      INTEGER NOT NULL,
    seq_id          INTEGER NOT NULL,
    rev             INTEGER NOT NULL,
    user_id         INTEGER NOT NULL, -- who pinned it
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_id)
) WITHOUT ROWID;
CREATE INDEX idx_pin_rev ON message_pins (conversation_id, rev);
