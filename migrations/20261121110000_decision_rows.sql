-- A decision is read with all that it was made from, and compresses to a part of a page: it stays in its row instead of a
-- table beside it.
ALTER TABLE decision
    ALTER COLUMN input SET STORAGE MAIN,
    ALTER COLUMN snapshot SET STORAGE MAIN,
    ALTER COLUMN decision SET STORAGE MAIN;
