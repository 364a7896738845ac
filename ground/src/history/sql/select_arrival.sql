-- When the first frame at or after a position arrived.
SELECT received FROM frame WHERE position >= ?1 ORDER BY position LIMIT 1
