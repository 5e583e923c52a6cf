//! Statements as values, and the rule that a reading statement cannot write.
//!
//! SQL is written by hand beside the function that runs it, in a `static`. A [`ReadQuery`] may run anywhere: on
//! connections that requests share, on a replica, twice when a connection broke. A [`WriteQuery`] runs only where it
//! runs once. The type decides which: [`ReadQuery::new`] is evaluated by the compiler and refuses text that writes.
//!
//! # Why words are compared, and not SQL parsed
//!
//! The check reads the text word by word, without looking for quotes or comments. So it refuses some text that only
//! reads, for example `WHERE state = 'DELETE'` (pass the value as a parameter), but no lexical trick gets a writing
//! keyword past it. A statement can still write through a function of the database. The built-in ones that change a
//! session or a sequence are refused by name; for functions of the schema's own, the connections that reads share are
//! sessions with `default_transaction_read_only = on`, so PostgreSQL refuses the write there. A connection of the pool
//! cannot be such a session, because the next to use it writes.

use tokio_postgres::types::{ToSql, Type};

/// What is bound to `$1`, `$2`, ….
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What a statement does: the label `operation` of metrics and `db.operation.name` of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It reads, and perhaps locks.
    Select,
    /// It adds rows, or changes those that are there already (`ON CONFLICT DO UPDATE`).
    Insert,
    /// It changes rows.
    Update,
    /// It removes rows.
    Delete,
    /// It controls a transaction.
    Other,
}

impl Operation {
    /// The label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Other => "",
        }
    }
}

/// What reading and writing statements have in common. Always in a `static`: prepared statements are found by address.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    pub(crate) sql: &'static str,
    pub(crate) types: &'static [Type],
    /// Whether it is the text of a [`ReadQuery`].
    pub(crate) only_reads: bool,
}

impl Query {
    /// A statement that controls a transaction.
    pub(crate) const fn control(name: &'static str, sql: &'static str) -> Self {
        Self {
            name,
            operation: Operation::Other,
            sql,
            types: &[],
            only_reads: false,
        }
    }

    /// `db.query.summary` of a span, like `SELECT users`: the operation and the first table. Never a value.
    pub(crate) fn summary(&self) -> String {
        let verb = match self.operation {
            Operation::Other => self.sql.split_whitespace().next().unwrap_or_default(),
            operation => operation.verb(),
        };
        let before_table = ["FROM", "INTO", "UPDATE"];
        let mut all = self.sql.split_whitespace();
        let table = all
            .find(|word| before_table.contains(word))
            .and_then(|_| all.next())
            .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
        match table {
            Some(table) => format!("{verb} {}", table.trim_end_matches([',', ';', '('])),
            None => verb.to_owned(),
        }
    }
}

/// A statement that only reads.
///
/// ```
/// use chassis_postgres::{ReadQuery, Type};
///
/// static FIND: ReadQuery = ReadQuery::new(
///     "notes_find",
///     "
/// SELECT id, title
/// FROM notes
/// WHERE id = $1",
///     &[Type::UUID],
/// );
/// ```
///
/// A text that writes does not compile:
///
/// ```compile_fail,E0080
/// use chassis_postgres::{ReadQuery, Type};
///
/// static RENAME: ReadQuery = ReadQuery::new(
///     "notes_rename",
///     "UPDATE notes SET title = $2 WHERE id = $1 RETURNING id",
///     &[Type::UUID, Type::TEXT],
/// );
/// ```
///
/// Neither does one that locks rows, which would hold them on a connection that others use:
///
/// ```compile_fail,E0080
/// use chassis_postgres::{ReadQuery, Type};
///
/// static LOCK: ReadQuery = ReadQuery::new(
///     "notes_lock",
///     "SELECT id FROM notes WHERE id = $1 FOR SHARE",
///     &[Type::UUID],
/// );
/// ```
#[derive(Debug)]
pub struct ReadQuery(pub(crate) Query);

impl ReadQuery {
    /// A reading statement with its name in metrics, spans and logs, and the types of `$1`, `$2`, ….
    ///
    /// The types are stated so that the statement can run unprepared behind a pooler.
    ///
    /// # Panics
    ///
    /// When the text does not begin with `SELECT`, `WITH`, `VALUES` or `TABLE`, or holds a keyword that writes or locks
    /// (`INSERT`, `UPDATE`, `DELETE`, `MERGE`, `TRUNCATE`, `INTO`, `FOR SHARE`, `FOR KEY SHARE`) or the name of a
    /// function that changes a session or a sequence (`nextval`, `setval`, `set_config`, `pg_notify`, `pg_advisory…`,
    /// `pg_try_advisory…`). In a `static` the panic is an error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str, types: &'static [Type]) -> Self {
        assert!(
            begins_reading(sql),
            "a ReadQuery begins with SELECT, WITH, VALUES or TABLE"
        );
        assert!(
            !writes(sql),
            "a ReadQuery holds a keyword or a function that writes or locks: use a WriteQuery"
        );
        Self(Query {
            name,
            operation: Operation::Select,
            sql,
            types,
            only_reads: true,
        })
    }

    /// The name in metrics, spans and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }

    /// The text.
    #[must_use]
    pub const fn sql(&self) -> &'static str {
        self.0.sql
    }
}

/// A statement that changes rows or locks them. It runs on a [`Connection`](crate::Connection) or in a
/// [`Transaction`](crate::Transaction), and never twice.
#[derive(Debug)]
pub struct WriteQuery(pub(crate) Query);

macro_rules! write_query {
    ($(#[$about:meta])* $name:ident, $operation:ident, $($word:literal)|+) => {
        $(#[$about])*
        ///
        /// # Panics
        ///
        /// When the text does not hold that keyword. In a `static` the panic is an error of the compiler.
        #[must_use]
        pub const fn $name(name: &'static str, sql: &'static str, types: &'static [Type]) -> Self {
            assert!($(has_word(sql, $word))||+, "the SQL does not do what the constructor says");
            Self(Query { name, operation: Operation::$operation, sql, types, only_reads: false })
        }
    };
}

impl WriteQuery {
    write_query!(
        /// A statement that adds rows: it holds `INSERT`.
        insert, Insert, "INSERT"
    );
    write_query!(
        /// A statement that changes rows: it holds `UPDATE`.
        update, Update, "UPDATE"
    );
    write_query!(
        /// A statement that removes rows: it holds `DELETE`.
        delete, Delete, "DELETE"
    );
    write_query!(
        /// A statement that reads rows and locks them: it holds `FOR UPDATE` or `FOR SHARE`, or a weaker form of these.
        select_for_update, Select, "UPDATE" | "SHARE"
    );

    /// The name in metrics, spans and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }

    /// The text.
    #[must_use]
    pub const fn sql(&self) -> &'static str {
        self.0.sql
    }
}

/// Keywords that write or lock. `UPDATE` covers `FOR UPDATE`, `FOR NO KEY UPDATE` and `ON CONFLICT DO UPDATE`.
const WRITING: [&str; 10] = [
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "TRUNCATE",
    "INTO",
    "nextval",
    "setval",
    "set_config",
    "pg_notify",
];

/// The beginnings of functions that take locks of a session.
const LOCKING: [&str; 2] = ["pg_advisory_", "pg_try_advisory_"];

const fn begins_reading(sql: &str) -> bool {
    let word = next_word(sql.as_bytes(), 0);
    is(sql, word, "SELECT")
        || is(sql, word, "WITH")
        || is(sql, word, "VALUES")
        || is(sql, word, "TABLE")
}

const fn writes(sql: &str) -> bool {
    let (mut before_previous, mut previous) = ((0, 0), (0, 0));
    let mut word = next_word(sql.as_bytes(), 0);
    while word.0 < word.1 {
        let mut index = 0;
        while index < WRITING.len() {
            if is(sql, word, WRITING[index]) {
                return true;
            }
            index += 1;
        }
        let mut index = 0;
        while index < LOCKING.len() {
            let end = word.0 + LOCKING[index].len();
            if end <= word.1 && is(sql, (word.0, end), LOCKING[index]) {
                return true;
            }
            index += 1;
        }
        // `key, share` are two columns; `FOR` is no column.
        let after_key = is(sql, previous, "KEY") && is(sql, before_previous, "FOR");
        if is(sql, word, "SHARE") && (is(sql, previous, "FOR") || after_key) {
            return true;
        }
        before_previous = previous;
        previous = word;
        word = next_word(sql.as_bytes(), word.1);
    }
    false
}

const fn has_word(sql: &str, wanted: &str) -> bool {
    let mut word = next_word(sql.as_bytes(), 0);
    while word.0 < word.1 {
        if is(sql, word, wanted) {
            return true;
        }
        word = next_word(sql.as_bytes(), word.1);
    }
    false
}

/// Start and end of the first word at or after this position; both are the end of the text when there is none.
const fn next_word(text: &[u8], from: usize) -> (usize, usize) {
    let mut start = from;
    while start < text.len() && !is_part_of_word(text[start]) {
        start += 1;
    }
    let mut end = start;
    while end < text.len() && is_part_of_word(text[end]) {
        end += 1;
    }
    (start, end)
}

const fn is_part_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Whether this part of the text is the word, in any case.
const fn is(text: &str, (start, end): (usize, usize), word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    if end - start != word.len() {
        return false;
    }
    let mut index = 0;
    while index < word.len() {
        if !text[start + index].eq_ignore_ascii_case(&word[index]) {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_is_done_to_what() {
        use Operation::{Delete, Insert, Other, Select, Update};
        for (operation, sql, expected) in [
            (Select, "SELECT id FROM users WHERE id = $1", "SELECT users"),
            (
                Insert,
                "INSERT INTO sessions (id) VALUES ($1)",
                "INSERT sessions",
            ),
            (
                Insert,
                "WITH a AS (INSERT INTO b (id) VALUES ($1)) SELECT 1",
                "INSERT b",
            ),
            (Update, "UPDATE users\nSET role = $1", "UPDATE users"),
            (Delete, "DELETE FROM users", "DELETE users"),
            (Select, "SELECT 1 AS one", "SELECT"),
            (Select, "SELECT a FROM (SELECT b FROM c) d", "SELECT"),
            (Other, "BEGIN", "BEGIN"),
        ] {
            let query = Query {
                name: "it",
                operation,
                sql,
                types: &[],
                only_reads: false,
            };
            assert_eq!(query.summary(), expected);
        }
    }

    #[test]
    fn text_that_writes_or_locks_is_recognised_in_any_form() {
        for sql in [
            "WITH gone AS (DELETE FROM a RETURNING id) SELECT id FROM gone",
            "SELECT id FROM a FOR UPDATE",
            "SELECT id FROM a FOR\n NO KEY UPDATE OF a SKIP LOCKED",
            "SELECT id FROM a FOR SHARE",
            "select id from a for key share",
            "SELECT id FROM a FOR /* , */ KEY -- ,\n SHARE",
            "SELECT * INTO b FROM a",
            "WITH a AS (insert/**/into b VALUES (1)) SELECT 1",
            "SELECT nextval('a')",
            "SELECT pg_catalog.pg_advisory_lock(1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "WITH m AS (MERGE INTO a USING b ON true WHEN MATCHED THEN DO NOTHING) SELECT 1",
        ] {
            assert!(writes(sql), "{sql}");
        }
    }

    #[test]
    fn names_that_hold_a_keyword_are_no_writes() {
        for sql in [
            "SELECT updated_at, deleted, share FROM inserts WHERE key = $1",
            "SELECT id, key, share FROM a WHERE user_id = $1",
            "SELECT share FROM a ORDER BY updated_at FETCH FIRST 1 ROW ONLY",
            "VALUES (1)",
        ] {
            assert!(begins_reading(sql) && !writes(sql), "{sql}");
        }
    }

    #[test]
    fn a_read_query_begins_like_one() {
        for sql in [
            "",
            "  ",
            "BEGIN",
            "SET a = 1",
            "LOCK TABLE a",
            "COPY a TO STDOUT",
        ] {
            assert!(!begins_reading(sql), "{sql}");
        }
        assert!(begins_reading("\n(SELECT 1)"));
    }
}
