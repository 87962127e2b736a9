-- One row per sign-in. After the end of a session expires_at is the time at which its last access token has expired.
CREATE TABLE sessions (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      INTEGER NOT NULL,
    device       TEXT    NOT NULL DEFAULT '',
    client       TEXT    NOT NULL DEFAULT '',
    address      TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    rotated_at   INTEGER NOT NULL,
    refresh_hash TEXT    NOT NULL DEFAULT '',
    ended_at     INTEGER,
    end_reason   INTEGER
) WITHOUT ROWID;
CREATE INDEX idx_sessions_user ON sessions (user_id);
CREATE INDEX idx_sessions_expires ON sessions (expires_at);
CREATE INDEX idx_sessions_ended ON sessions (ended_at, id) WHERE ended_at IS NOT NULL;

-- Refresh tokens from before sessions go on as sessions: the first half of the token's hash is the id, the generation is 0.
INSERT INTO sessions (id, user_id, client, created_at, last_used_at, expires_at, generation, rotated_at, refresh_hash)
SELECT substr(hash, 1, 32), user_id, substr(client_info, 1, 255), created_at, created_at, expires_at, 0, created_at, hash
FROM refresh_tokens WHERE consumed_at IS NULL;

-- Counts changes of the password: a sign-in that was judged by an old one makes no session.
ALTER TABLE users ADD COLUMN password_version INTEGER NOT NULL DEFAULT 0;
-- When the account was deleted; NULL again once its name is free.
ALTER TABLE users ADD COLUMN deleted_at INTEGER;
CREATE INDEX idx_users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;
