DROP TABLE IF EXISTS join_requests;
