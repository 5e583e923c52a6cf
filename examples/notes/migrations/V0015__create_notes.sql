-- Notes, each of which belongs to the user who made it.

CREATE TABLE notes (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    title text NOT NULL,
    body text,
    pinned boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT notes_pkey PRIMARY KEY (id),
    CONSTRAINT notes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT notes_title_check CHECK (length(title) BETWEEN 1 AND 1000),
    CONSTRAINT notes_body_check CHECK (length(body) BETWEEN 1 AND 1000)
);

-- Lists a user's notes from any place on, oldest first; also what ON DELETE CASCADE looks up.
CREATE INDEX notes_user_id_id_idx ON notes (user_id, id);
