UPDATE command SET state = ?2, ended = ?3, cancel = ?4 WHERE id = ?1
