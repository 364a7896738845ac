INSERT INTO schema (epoch, id, body) VALUES (?1, ?2, ?3) ON CONFLICT (epoch, id) DO NOTHING
