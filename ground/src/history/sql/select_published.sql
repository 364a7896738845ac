SELECT epoch, first, received, lane, position, bytes
FROM frame
WHERE position >= ?1 AND position <= ?2 AND epoch IN (SELECT value FROM json_each(?3))
ORDER BY position
LIMIT ?4
