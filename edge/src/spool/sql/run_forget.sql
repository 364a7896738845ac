DELETE FROM run WHERE base >= ?1 AND high_water <= ?2
