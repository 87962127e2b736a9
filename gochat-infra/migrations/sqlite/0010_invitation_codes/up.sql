-- How many accounts were made with an invitation code; the codes and their limits are settings. Hashes only.
CREATE TABLE invitation_codes (
    code TEXT    NOT NULL PRIMARY KEY,
    used INTEGER NOT NULL
) WITHOUT ROWID;
