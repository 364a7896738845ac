SELECT name FROM vehicle ORDER BY name
