SELECT epoch, first, received, lane, position, bytes
FROM frame
WHERE epoch = ?1 AND first IN (SELECT first FROM latest WHERE epoch = ?1)
ORDER BY first DESC
