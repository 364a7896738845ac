-- `total` rather than `sum`, which fails when gaps of a faulty vehicle add up to more than 63 bits; the cast saturates.
WITH mine AS (
    SELECT epoch.id FROM epoch JOIN vehicle ON vehicle.id = epoch.vehicle WHERE vehicle.name = ?1
)
SELECT
    CAST((SELECT total(stop - start) FROM covered WHERE epoch IN mine) AS INTEGER)
        - CAST((SELECT total(stop - start) FROM gap WHERE epoch IN mine) AS INTEGER),
    CAST((SELECT total(stop - start) FROM gap WHERE epoch IN mine AND lost = 1) AS INTEGER)
