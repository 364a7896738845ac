-- Those that share a number with ?2..?3 or border on it. The subquery finds the one that begins before it.
SELECT start, finish FROM mark
WHERE kind = ?1 AND finish >= ?2 AND start <= ?3
    AND start >= coalesce((SELECT max(start) FROM mark WHERE kind = ?1 AND start <= ?2), ?2)
ORDER BY start
