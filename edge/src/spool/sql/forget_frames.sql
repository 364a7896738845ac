DELETE FROM frame WHERE start >= ?1 AND start < ?2 AND start + count <= ?2
