SELECT start, finish FROM mark WHERE kind = ?1 ORDER BY start LIMIT 2
