-- Why: a second step, to be undone alone.

ALTER TABLE items ADD COLUMN size integer NOT NULL DEFAULT 0;
