DROP TABLE IF EXISTS former_texts;
DROP TABLE IF EXISTS announcement_reads;
SET @there = (SELECT COUNT(*) > 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'conversations' AND column_name = 'announcement_version');
SET @statement = IF(@there,
    'ALTER TABLE conversations DROP COLUMN announcement_by, DROP COLUMN announcement_at, DROP COLUMN announcement_version, DROP COLUMN announcement',
    'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
