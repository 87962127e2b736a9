ALTER TABLE conversations DROP COLUMN version;
ALTER TABLE users DROP COLUMN version;
