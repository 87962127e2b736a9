DROP TABLE audit_records;
DROP TABLE signing_keys;
