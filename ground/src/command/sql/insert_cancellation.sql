INSERT INTO cancellation (command, at, issuer) VALUES (?1, ?2, ?3)
