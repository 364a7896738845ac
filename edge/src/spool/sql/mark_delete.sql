DELETE FROM mark WHERE kind = ?1 AND start = ?2
