-- Vehicles that ever connected.
CREATE TABLE vehicle (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    first_seen INTEGER NOT NULL -- microseconds since the Unix epoch, by the ground's clock
) STRICT;

-- Histories of sequence numbers, in the order of their first arrival.
CREATE TABLE epoch (
    id         INTEGER PRIMARY KEY,
    vehicle    INTEGER NOT NULL REFERENCES vehicle (id),
    number     INTEGER NOT NULL, -- the 64 bits of the epoch's number
    first_seen INTEGER NOT NULL,
    UNIQUE (vehicle, number)
) STRICT;

-- What frames are made of. Never changes once written.
CREATE TABLE schema (
    epoch INTEGER NOT NULL REFERENCES epoch (id),
    id    INTEGER NOT NULL,
    body  BLOB NOT NULL, -- postcard
    PRIMARY KEY (epoch, id)
) STRICT, WITHOUT ROWID;

-- Records, as they came: frame `first` holds the sequence numbers first .. first + count.
CREATE TABLE frame (
    epoch    INTEGER NOT NULL REFERENCES epoch (id),
    first    INTEGER NOT NULL,
    count    INTEGER NOT NULL CHECK (count > 0),
    started  INTEGER NOT NULL, -- earliest capture time in it, by the edge's clock
    ended    INTEGER NOT NULL, -- latest
    received INTEGER NOT NULL, -- by the ground's clock
    lane     INTEGER NOT NULL, -- 0 live, 1 backlog
    bytes    BLOB NOT NULL,
    PRIMARY KEY (epoch, first)
) STRICT;

-- Finds the frames of a time span without touching their bytes.
CREATE INDEX frame_time ON frame (epoch, ended, started, first);

-- Sequence numbers that are in `frame` or `gap`, merged: loading them takes as long as there are holes, however long
-- the history is.
CREATE TABLE covered (
    epoch INTEGER NOT NULL REFERENCES epoch (id),
    start INTEGER NOT NULL,
    stop  INTEGER NOT NULL CHECK (stop > start), -- exclusive
    PRIMARY KEY (epoch, start)
) STRICT, WITHOUT ROWID;

-- Sequence numbers that will never come.
CREATE TABLE gap (
    epoch    INTEGER NOT NULL REFERENCES epoch (id),
    start    INTEGER NOT NULL,
    stop     INTEGER NOT NULL, -- exclusive
    reason   TEXT NOT NULL,
    lost     INTEGER NOT NULL, -- 1 when the numbers stood for records
    received INTEGER NOT NULL,
    PRIMARY KEY (epoch, start)
) STRICT, WITHOUT ROWID;

-- How far the vehicle's clock was from the ground's: a row whenever the estimate changed.
CREATE TABLE clock (
    epoch              INTEGER NOT NULL REFERENCES epoch (id),
    received           INTEGER NOT NULL,
    offset_micros      INTEGER NOT NULL, -- ground time minus vehicle time
    uncertainty_micros INTEGER NOT NULL,
    PRIMARY KEY (epoch, received)
) STRICT, WITHOUT ROWID;
