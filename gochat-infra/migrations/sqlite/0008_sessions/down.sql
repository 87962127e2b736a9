DROP INDEX idx_users_deleted;
ALTER TABLE users DROP COLUMN deleted_at;
ALTER TABLE users DROP COLUMN password_version;
DROP TABLE sessions;
