DROP TABLE IF EXISTS invitation_codes;
