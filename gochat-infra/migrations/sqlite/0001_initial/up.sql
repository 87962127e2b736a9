-- Times are Unix milliseconds. Ids are Snowflakes made by the services. No foreign keys.
-- Why every table is clustered the way it is: docs/data-model.md.

CREATE TABLE users (
    id            INTEGER NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL,
    username_key  TEXT    NOT NULL, -- lower case of username: unique in any spelling
    password_hash TEXT    NOT NULL DEFAULT '',
    avatar_url    TEXT    NOT NULL DEFAULT '',
    is_guest      INTEGER NOT NULL DEFAULT 0,
    status        INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX uk_username ON users (username_key);
CREATE INDEX idx_is_guest ON users (created_at) WHERE is_guest = 1 AND status <> 2;

-- Small fixed columns first: the list and the sequencer's facts read only those of most rows.
CREATE TABLE conversations (
    id              TEXT    NOT NULL PRIMARY KEY,
    type            INTEGER NOT NULL,
    dissolved       INTEGER NOT NULL DEFAULT 0,
    updated_at      INTEGER NOT NULL,
    last_seq_id     INTEGER NOT NULL DEFAULT 0,
    last_message_id INTEGER,
    member_count    INTEGER NOT NULL DEFAULT 0,
    owner_id        INTEGER,
    created_at      INTEGER NOT NULL,
    data_updated_at INTEGER NOT NULL, -- last change of what people edit; new messages don't count
    name            TEXT    NOT NULL DEFAULT '',
    avatar_url      TEXT    NOT NULL DEFAULT '',
    description     TEXT    NOT NULL DEFAULT '',
    settings        TEXT    NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE conversation_members (
    id              INTEGER NOT NULL PRIMARY KEY,
    conversation_id TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    role            INTEGER NOT NULL DEFAULT 1,
    muted           INTEGER NOT NULL DEFAULT 0,
    muted_until     INTEGER,
    hidden          INTEGER NOT NULL DEFAULT 0,
    joined_at       INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE UNIQUE INDEX uk_conv_user ON conversation_members (conversation_id, user_id);
-- Covers what the list asks of every membership. Uniqueness is uk_conv_user's business.
CREATE INDEX idx_user_conv ON conversation_members (user_id, conversation_id, hidden, updated_at);
CREATE INDEX idx_hidden ON conversation_members (conversation_id) WHERE hidden = 1;

-- Who left what and when, for incremental sync.
CREATE TABLE left_conversations (
    user_id         INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    left_at         INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;

CREATE TABLE messages (
    conversation_id TEXT    NOT NULL,
    seq_id          INTEGER NOT NULL,
    id              INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    message_type    INTEGER NOT NULL DEFAULT 1,
    deleted         INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    client_msg_id   TEXT,
    content         TEXT    NOT NULL,
    extra           TEXT,
    PRIMARY KEY (conversation_id, seq_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX uk_message_id ON messages (id);

CREATE TABLE user_read_pointers (
    user_id          INTEGER NOT NULL,
    conversation_id  TEXT    NOT NULL,
    last_read_seq_id INTEGER NOT NULL DEFAULT 0,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;

CREATE TABLE friendship_requests (
    id                INTEGER NOT NULL PRIMARY KEY,
    requester_id      INTEGER NOT NULL,
    target_id         INTEGER NOT NULL,
    status            INTEGER NOT NULL DEFAULT 0,
    mirrored          INTEGER NOT NULL DEFAULT 0,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    requester_remarks TEXT    NOT NULL DEFAULT '',
    target_remarks    TEXT    NOT NULL DEFAULT '',
    message           TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX uk_requester_target ON friendship_requests (requester_id, target_id);
CREATE INDEX idx_requester_status ON friendship_requests (requester_id, status, target_id);
CREATE INDEX idx_target_status ON friendship_requests (target_id, status);

CREATE TABLE refresh_tokens (
    hash        TEXT    NOT NULL PRIMARY KEY,
    user_id     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    consumed_at INTEGER,
    client_info TEXT    NOT NULL DEFAULT '',
    access_hash TEXT    NOT NULL DEFAULT '', -- of the access token handed out with it
    access_jti  TEXT    NOT NULL DEFAULT '',
    access_expires_at INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX idx_refresh_access ON refresh_tokens (access_hash);
CREATE INDEX idx_refresh_user ON refresh_tokens (user_id);
CREATE INDEX idx_refresh_expires ON refresh_tokens (expires_at);

CREATE TABLE token_revocations (
    token      TEXT    NOT NULL PRIMARY KEY, -- t:<hash of an access token> or u:<user id>
    revoked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idx_revocations_expires ON token_revocations (expires_at);

CREATE VIEW group_members (id, group_id, user_id, role, joined_at) AS
    SELECT m.id, m.conversation_id, m.user_id, m.role, m.joined_at
    FROM conversation_members m
    JOIN conversations c ON c.id = m.conversation_id
    WHERE c.type = 2;

-- The one conversation everybody is in.
INSERT INTO conversations (id, type, name, settings, created_at, updated_at, data_updated_at)
VALUES ('world', 3, 'World Chat', '', 0, 0, 0);
