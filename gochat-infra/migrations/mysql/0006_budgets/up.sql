-- Where a user signed in from: attempts from there aren't held up by strangers who guess the password. Hashes only.
CREATE TABLE IF NOT EXISTS known_places (
    user_id BIGINT      NOT NULL,
    place   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- hash of user and device, or user and address
    seen_at DATETIME(3) NOT NULL, -- the last sign-in, to the day
    PRIMARY KEY (user_id, place),
    KEY idx_place_seen (seen_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
