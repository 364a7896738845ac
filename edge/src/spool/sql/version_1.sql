-- One row: who this spool is, what it promised and what it holds.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,      -- 64 random bits
    base INTEGER NOT NULL,       -- the first sequence number of the current run
    high_water INTEGER NOT NULL, -- one past the last stored of the current run
    reserved INTEGER NOT NULL,   -- where the next run will begin: no run before it gives these numbers
    age_clock INTEGER NOT NULL,  -- seconds that edges have been running on this spool
    frames INTEGER NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL       -- estimated, with what a row costs beside its frame
) STRICT;

-- Earlier runs that stored something and are not acknowledged as a whole.
CREATE TABLE run (
    base INTEGER PRIMARY KEY,
    high_water INTEGER NOT NULL
) STRICT;

CREATE TABLE frame (
    start INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,      -- records, and so sequence numbers
    newest INTEGER NOT NULL,     -- newest capture time, microseconds UTC
    stored INTEGER NOT NULL,     -- meta.age_clock when it was appended
    bytes BLOB NOT NULL
) STRICT;

-- Disjoint sets of sequence numbers, start..finish. kind 0: evicted and not acknowledged; kind 1: acknowledged parts
-- of frames that are held.
CREATE TABLE mark (
    kind INTEGER NOT NULL,
    start INTEGER NOT NULL,
    finish INTEGER NOT NULL,
    PRIMARY KEY (kind, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE schema (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL           -- postcard
) STRICT;
