-- Invitation links of groups. The code stands in clear: who made a link may show it again.
CREATE TABLE invitation_links (
    code            TEXT    NOT NULL PRIMARY KEY,
    conversation_id TEXT    NOT NULL,
    creator_id      INTEGER NOT NULL,
    max_uses        INTEGER NOT NULL, -- 0 = as many as the group has room for
    used            INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idx_link_conversation ON invitation_links (conversation_id, created_at, code);
