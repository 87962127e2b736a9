DROP INDEX idx_without_skeleton;
DROP INDEX uk_name_skeleton;
ALTER TABLE users DROP COLUMN name_skeleton;
