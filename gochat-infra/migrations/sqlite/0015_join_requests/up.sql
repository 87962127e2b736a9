-- Requests to join groups, one per user and group. Rows end with expires_at.
CREATE TABLE join_requests (
    conversation_id TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    id              INTEGER NOT NULL,
    status          INTEGER NOT NULL, -- 0 open, 1 accepted, 2 rejected
    text            TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;
CREATE INDEX idx_join_group ON join_requests (conversation_id, status, id);
CREATE INDEX idx_join_user ON join_requests (user_id, status, expires_at);
