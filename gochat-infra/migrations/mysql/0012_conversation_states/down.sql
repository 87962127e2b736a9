DROP TABLE IF EXISTS conversation_states;
