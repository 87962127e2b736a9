-- Who adds a user to groups without asking: 0 everybody, 1 friends, 2 nobody.
ALTER TABLE users ADD COLUMN added_by INTEGER NOT NULL DEFAULT 0;

-- Memberships that wait for the consent of the invited user. Rows end with expires_at.
CREATE TABLE group_invitations (
    id              INTEGER NOT NULL PRIMARY KEY,
    conversation_id TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    inviter_id      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
);
CREATE UNIQUE INDEX uk_invited ON group_invitations (user_id, conversation_id);
CREATE INDEX idx_invited_id ON group_invitations (user_id, id);
