INSERT OR REPLACE INTO spent (id, month, bytes) VALUES (1, ?1, ?2)
