DELETE FROM frame WHERE start = ?1
