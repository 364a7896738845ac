-- Every command that was issued. Rows are never deleted: this is who asked for what, and what became of it.
CREATE TABLE command (
    id INTEGER PRIMARY KEY,      -- 64 bits
    name TEXT NOT NULL,          -- the same, as clients write it
    vehicle TEXT NOT NULL,
    issuer TEXT NOT NULL,
    issued INTEGER NOT NULL,     -- microseconds UTC, by the ground's clock
    expires INTEGER NOT NULL,
    supersede_key TEXT,
    action TEXT NOT NULL,        -- JSON, for people
    body BLOB NOT NULL,          -- what was sent, postcard
    cancel INTEGER,              -- taken back after it was sent: 0 asked, 1 superseded
    state TEXT NOT NULL,
    ended INTEGER NOT NULL       -- 1 when nothing will follow
) STRICT;
CREATE INDEX command_by_vehicle ON command (vehicle, issued);
CREATE INDEX command_open ON command (issued) WHERE ended = 0;

-- What became of it.
CREATE TABLE step (
    command INTEGER NOT NULL REFERENCES command (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,         -- microseconds UTC, by the clock of whose word it is
    recorded INTEGER NOT NULL,   -- when the ground knew it, by the ground's clock
    reason TEXT,
    detail TEXT NOT NULL,
    body BLOB NOT NULL,          -- postcard
    PRIMARY KEY (command, number)
) STRICT, WITHOUT ROWID;

-- Cancellations that were asked for, whether they came in time or not.
CREATE TABLE cancellation (
    command INTEGER NOT NULL REFERENCES command (id),
    at INTEGER NOT NULL,
    issuer TEXT NOT NULL
) STRICT;
