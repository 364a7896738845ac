SELECT id, vehicle, body, cancel FROM command WHERE ended = 0 AND issued > ?1 ORDER BY issued
