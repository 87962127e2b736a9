-- Invitation links of groups. The code stands in clear: who made a link may show it again.
CREATE TABLE IF NOT EXISTS invitation_links (
    code            VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    conversation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    creator_id      BIGINT      NOT NULL,
    max_uses        INT         NOT NULL, -- 0 = as many as the group has room for
    used            INT         NOT NULL,
    created_at      DATETIME(3) NOT NULL,
    expires_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (code),
    KEY idx_link_conversation (conversation_id, created_at, code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
