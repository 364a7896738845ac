WITH mine AS (
    SELECT epoch.id FROM epoch JOIN vehicle ON vehicle.id = epoch.vehicle WHERE vehicle.name = ?1
)
SELECT
    (SELECT coalesce(sum(stop - start), 0) FROM covered WHERE epoch IN mine)
        - (SELECT coalesce(sum(stop - start), 0) FROM gap WHERE epoch IN mine),
    (SELECT coalesce(sum(stop - start), 0) FROM gap WHERE epoch IN mine AND lost = 1)
