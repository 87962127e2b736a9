-- A message whose id stands under another place already is stored all the same: it was acknowledged. `id_copy` tells the
-- messages of one id apart; it is 0 for all but such messages, so the index still finds a repeated id at no cost.
ALTER TABLE messages ADD COLUMN id_copy INTEGER NOT NULL DEFAULT 0;
DROP INDEX IF EXISTS uk_message_id;
CREATE UNIQUE INDEX uk_message_id_copy ON messages (id, id_copy);
