INSERT INTO mark (kind, start, finish) VALUES (?1, ?2, ?3)
