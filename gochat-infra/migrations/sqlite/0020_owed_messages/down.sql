DROP TABLE IF EXISTS owed_messages;
