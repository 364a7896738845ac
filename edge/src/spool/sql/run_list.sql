SELECT base, high_water FROM run ORDER BY base
