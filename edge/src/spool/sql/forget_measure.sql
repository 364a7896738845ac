SELECT count(*), coalesce(sum(count), 0), coalesce(sum(length(bytes)), 0)
FROM frame WHERE start >= ?1 AND start < ?2 AND start + count <= ?2
