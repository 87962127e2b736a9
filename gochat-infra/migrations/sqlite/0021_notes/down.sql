DROP TABLE former_texts;
DROP TABLE announcement_reads;
ALTER TABLE conversations DROP COLUMN announcement_by;
ALTER TABLE conversations DROP COLUMN announcement_at;
ALTER TABLE conversations DROP COLUMN announcement_version;
ALTER TABLE conversations DROP COLUMN announcement;
