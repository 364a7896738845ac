INSERT INTO frame (start, count, newest, stored, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
