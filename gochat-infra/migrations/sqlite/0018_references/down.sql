DROP TABLE mentions;
ALTER TABLE messages DROP COLUMN refs;
