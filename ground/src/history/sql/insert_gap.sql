INSERT INTO gap (epoch, start, stop, reason, lost, received) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
