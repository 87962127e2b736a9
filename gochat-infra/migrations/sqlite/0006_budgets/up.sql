-- Where a user signed in from: attempts from there aren't held up by strangers who guess the password. Hashes only.
CREATE TABLE known_places (
    user_id INTEGER NOT NULL,
    place   TEXT    NOT NULL, -- hash of user and device, or user and address
    seen_at INTEGER NOT NULL, -- the last sign-in, to the day
    PRIMARY KEY (user_id, place)
) WITHOUT ROWID;
CREATE INDEX idx_place_seen ON known_places (seen_at);
