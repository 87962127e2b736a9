-- Who adds a user to groups without asking: 0 everybody, 1 friends, 2 nobody.
SET @wanted = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'added_by');
SET @statement = IF(@wanted, 'ALTER TABLE users ADD COLUMN added_by INT NOT NULL DEFAULT 0', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

-- Memberships that wait for the consent of the invited user. Rows end with expires_at.
CREATE TABLE IF NOT EXISTS group_invitations (
    id              BIGINT      NOT NULL PRIMARY KEY,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id         BIGINT      NOT NULL,
    inviter_id      BIGINT      NOT NULL,
    created_at      DATETIME(3) NOT NULL,
    expires_at      DATETIME(3) NOT NULL,
    UNIQUE KEY uk_invited (user_id, conversation_id),
    KEY idx_invited_id (user_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
