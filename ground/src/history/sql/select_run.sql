SELECT tag, runs, (SELECT max(position) FROM frame WHERE position IS NOT NULL) FROM ground
