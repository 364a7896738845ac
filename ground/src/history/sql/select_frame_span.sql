SELECT min(first), max(first)
FROM frame INDEXED BY frame_time
WHERE epoch = ?1 AND ended >= ?2 AND started < ?3
