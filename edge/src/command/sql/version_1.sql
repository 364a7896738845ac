-- A command that was begun, or is about to be: none of these is begun again.
CREATE TABLE command (
    id INTEGER PRIMARY KEY,      -- 64 bits, as they were sent
    entry BLOB NOT NULL          -- what became of it, postcard
) STRICT;
