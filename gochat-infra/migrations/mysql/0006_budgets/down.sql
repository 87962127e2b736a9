DROP TABLE IF EXISTS known_places;
