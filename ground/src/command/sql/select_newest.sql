SELECT id, vehicle, body, cancel FROM command WHERE vehicle = ?1 ORDER BY issued DESC LIMIT ?2
