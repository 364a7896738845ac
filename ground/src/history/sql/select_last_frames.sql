SELECT epoch, first, received, lane, position, bytes
FROM frame
WHERE epoch = ?1
ORDER BY first DESC
LIMIT ?2
