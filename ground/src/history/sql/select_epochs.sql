SELECT epoch.id
FROM epoch JOIN vehicle ON vehicle.id = epoch.vehicle
WHERE vehicle.name = ?1
ORDER BY epoch.id
