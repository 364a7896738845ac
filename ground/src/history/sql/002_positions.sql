-- The history's own identity, and how often a ground has started on it: positions of another history or an earlier run are
-- told apart by them.
CREATE TABLE ground (
    tag  INTEGER NOT NULL, -- 32 random bits
    runs INTEGER NOT NULL
) STRICT;
INSERT INTO ground (tag, runs) VALUES (random() & 0xffffffff, 0);

-- The place of a frame's first record in the order in which the ground published records; the others follow it. NULL in
-- frames from before there was this order.
ALTER TABLE frame ADD COLUMN position INTEGER;

-- Finds what was published after a place, and skips other epochs without touching the frames.
CREATE INDEX frame_position ON frame (position, epoch, count) WHERE position IS NOT NULL;

-- The last frame that has a record of a schema. Written now and then: of the newest frames it may know nothing yet.
CREATE TABLE latest (
    epoch  INTEGER NOT NULL REFERENCES epoch (id),
    schema INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    PRIMARY KEY (epoch, schema)
) STRICT, WITHOUT ROWID;
