INSERT INTO clock (epoch, received, offset_micros, uncertainty_micros)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (epoch, received) DO UPDATE SET offset_micros = ?3, uncertainty_micros = ?4
