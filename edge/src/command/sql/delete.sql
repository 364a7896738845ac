DELETE FROM command WHERE id = ?1
