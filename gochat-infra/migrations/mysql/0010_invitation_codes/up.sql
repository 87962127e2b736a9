-- How many accounts were made with an invitation code; the codes and their limits are settings. Hashes only.
CREATE TABLE IF NOT EXISTS invitation_codes (
    code VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    used INT         NOT NULL,
    PRIMARY KEY (code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
