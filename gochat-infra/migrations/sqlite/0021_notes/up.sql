-- The announcement of a group; version 0 when there never was one, an empty or absent text when it was removed.
ALTER TABLE conversations ADD COLUMN announcement TEXT;
ALTER TABLE conversations ADD COLUMN announcement_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN announcement_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN announcement_by INTEGER;

-- Up to which version members have read the announcement of a group. A new text is unread by its version: the rows of
-- older ones stay until their users read again.
CREATE TABLE announcement_reads (
    user_id         INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    read_at         INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;
-- Counts the readers of one version, and pages through them.
CREATE INDEX idx_announcement_readers ON announcement_reads (conversation_id, version, read_at, user_id);

-- What messages said before they were edited, where the group keeps it. `edit_no` is the edit that made the text, 0 for
-- the text that was sent.
CREATE TABLE former_texts (
    conversation_id TEXT    NOT NULL,
    seq_id          INTEGER NOT NULL,
    edit_no         INTEGER NOT NULL,
    content         TEXT    NOT NULL,
    extra           TEXT,
    written_at      INTEGER NOT NULL, -- when the message began to say it
    PRIMARY KEY (conversation_id, seq_id, edit_no)
) WITHOUT ROWID;

-- Announcements stood in the settings before; the next edit of those takes them out.
UPDATE conversations SET announcement_version = 1, announcement_at = data_updated_at, announcement_by = owner_id,
    announcement = json_extract(settings, '$.group_settings.announcement')
WHERE type = 2 AND CASE WHEN json_valid(settings)
    THEN coalesce(json_extract(settings, '$.group_settings.announcement'), '') <> '' ELSE 0 END;
