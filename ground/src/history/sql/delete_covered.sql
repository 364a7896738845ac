DELETE FROM covered WHERE epoch = ?1 AND start = ?2
