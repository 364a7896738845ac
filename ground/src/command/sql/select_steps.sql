SELECT body FROM step WHERE command = ?1 ORDER BY number
