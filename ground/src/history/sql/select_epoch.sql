SELECT epoch.id
FROM epoch JOIN vehicle ON vehicle.id = epoch.vehicle
WHERE vehicle.name = ?1 AND epoch.number = ?2
