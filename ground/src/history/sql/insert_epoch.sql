INSERT INTO epoch (vehicle, number, first_seen)
SELECT id, ?2, ?3 FROM vehicle WHERE name = ?1
ON CONFLICT (vehicle, number) DO NOTHING
