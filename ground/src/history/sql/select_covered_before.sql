SELECT start, stop FROM covered WHERE epoch = ?1 AND start <= ?2 ORDER BY start DESC
