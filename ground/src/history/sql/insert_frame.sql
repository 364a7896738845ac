INSERT INTO frame (epoch, first, count, started, ended, received, lane, bytes, position)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
