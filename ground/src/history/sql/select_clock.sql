SELECT offset_micros, uncertainty_micros
FROM clock
WHERE epoch = ?1 AND received <= ?2
ORDER BY received DESC
LIMIT 1
