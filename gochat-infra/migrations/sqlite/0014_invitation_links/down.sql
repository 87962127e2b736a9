DROP TABLE IF EXISTS invitation_links;
