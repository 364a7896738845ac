UPDATE ground SET runs = ?1
