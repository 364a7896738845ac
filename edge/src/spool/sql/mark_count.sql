SELECT count(*) FROM mark WHERE kind = ?1
