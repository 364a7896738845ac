SELECT id, body FROM schema ORDER BY id
