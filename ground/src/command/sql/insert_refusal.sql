INSERT INTO refusal (first, last, count, issuer, vehicle, operation, code, message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
