SELECT start, stop FROM covered WHERE epoch = ?1 ORDER BY start
