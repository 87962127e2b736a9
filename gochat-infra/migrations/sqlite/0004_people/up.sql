-- Number of edits so far: what If-Match and `version` compare. Older programs don't count their edits.
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
