-- What a message's row shows of its pin and its reactions, so that reading a message costs no look at other tables. `reactions` is
-- JSON: each emoji with its number of users, NULL without any. The number lies before 0016 for the sake of MariaDB.
ALTER TABLE messages ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN reactions TEXT;
