-- What was refused before it became a command, and so is in no other table. Bounded: see keep_refusals.sql.
CREATE TABLE refusal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first INTEGER NOT NULL,      -- microseconds UTC, by the ground's clock
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,      -- so many from first to last
    issuer TEXT NOT NULL,        -- empty when several asked
    vehicle TEXT NOT NULL,       -- empty when for several
    operation TEXT NOT NULL,     -- command, cancel, control; empty when several
    code TEXT NOT NULL,          -- as clients are told
    message TEXT NOT NULL
) STRICT;
