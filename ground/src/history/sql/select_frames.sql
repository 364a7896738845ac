SELECT epoch, first, received, lane, position, bytes
FROM frame
WHERE epoch = ?1 AND first >= ?2 AND first <= ?3 AND ended >= ?4 AND started < ?5
ORDER BY first
LIMIT ?6
