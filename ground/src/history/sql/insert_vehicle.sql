INSERT INTO vehicle (name, first_seen) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING
