SELECT id, body FROM schema WHERE epoch = ?1 ORDER BY id
