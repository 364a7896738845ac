-- The frame that holds a position, or is the last before it.
SELECT max(position) FROM frame WHERE position <= ?1
