-- Some months of one row a minute, at most some 30 MB.
DELETE FROM refusal WHERE id <= (SELECT max(id) FROM refusal) - 100000
