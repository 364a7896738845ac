INSERT INTO covered (epoch, start, stop) VALUES (?1, ?2, ?3)
