INSERT INTO command (id, name, vehicle, issuer, issued, expires, supersede_key, action, body, cancel, state, ended)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, 0)
