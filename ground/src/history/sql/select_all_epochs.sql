SELECT epoch.id, vehicle.name, epoch.number
FROM epoch JOIN vehicle ON vehicle.id = epoch.vehicle
ORDER BY epoch.id
