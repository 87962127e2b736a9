-- What a user's name looks like: names are unique by it. NULL in rows from before; the program fills them in.
ALTER TABLE users ADD COLUMN name_skeleton TEXT;
CREATE UNIQUE INDEX uk_name_skeleton ON users (name_skeleton) WHERE name_skeleton IS NOT NULL;
CREATE INDEX idx_without_skeleton ON users (id) WHERE name_skeleton IS NULL;
