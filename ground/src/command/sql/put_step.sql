INSERT INTO step (command, number, state, at, recorded, reason, detail, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (command, number) DO UPDATE
SET at = excluded.at, recorded = excluded.recorded, reason = excluded.reason, detail = excluded.detail, body = excluded.body
WHERE body <> excluded.body
