INSERT OR REPLACE INTO meta (id, epoch, base, high_water, reserved, age_clock, frames, records, bytes)
VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
