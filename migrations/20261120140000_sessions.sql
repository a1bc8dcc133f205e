-- Raised by everything that ends all sessions of someone: a session that was begun with an older number is none.
ALTER TABLE person ADD COLUMN session_epoch integer NOT NULL DEFAULT 0;
