-- Where to stop, so that one transaction does not delete more than ?3 frames.
SELECT start FROM frame WHERE start >= ?1 AND start < ?2 ORDER BY start LIMIT 1 OFFSET ?3
