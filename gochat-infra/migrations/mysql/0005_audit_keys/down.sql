DROP TABLE IF EXISTS audit_records;
DROP TABLE IF EXISTS signing_keys;
