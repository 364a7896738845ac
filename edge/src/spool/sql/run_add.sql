INSERT INTO run (base, high_water) VALUES (?1, ?2)
