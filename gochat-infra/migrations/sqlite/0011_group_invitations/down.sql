DROP TABLE group_invitations;
ALTER TABLE users DROP COLUMN added_by;
