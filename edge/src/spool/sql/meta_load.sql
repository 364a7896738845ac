SELECT epoch, base, high_water, reserved, age_clock, frames, records, bytes FROM meta WHERE id = 1
