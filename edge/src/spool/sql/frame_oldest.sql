SELECT start, count, stored, length(bytes) FROM frame ORDER BY start LIMIT 1
