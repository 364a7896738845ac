-- What was spent of the month's budget, at most one row.
CREATE TABLE spent (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    month INTEGER NOT NULL,      -- months since the year 0, UTC
    bytes INTEGER NOT NULL       -- on the wire, both directions
) STRICT;
