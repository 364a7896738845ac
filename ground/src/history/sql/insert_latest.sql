INSERT INTO latest (epoch, schema, first) VALUES (?1, ?2, ?3)
ON CONFLICT (epoch, schema) DO UPDATE SET first = max(first, ?3)
