-- Why: the tests need a table with a constraint.

CREATE TABLE items (
    name text CONSTRAINT items_pkey PRIMARY KEY
);
