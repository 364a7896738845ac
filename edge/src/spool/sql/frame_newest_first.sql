-- Frames do not overlap, so the reader stops at the first one that ends before its range.
SELECT start, count, newest, bytes FROM frame WHERE start < ?1 ORDER BY start DESC
