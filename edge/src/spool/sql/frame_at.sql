SELECT start, count, stored, length(bytes) FROM frame WHERE start <= ?1 ORDER BY start DESC LIMIT 1
