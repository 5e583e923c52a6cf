//! The names that PostgreSQL does not take for a table or a column.

/// Reserved words (PostgreSQL 18, appendix C: "reserved", and those that can be only a function or a type), and the
/// columns that every table has (section 5.6: system columns).
#[rustfmt::skip]
pub(super) const SQL_WORDS: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "binary", "both", "case", "cast", "check", "cmax", "cmin", "collate", "collation", "column",
    "concurrently", "constraint", "create", "cross", "ctid", "current_catalog", "current_date",
    "current_role", "current_schema", "current_time", "current_timestamp", "current_user",
    "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch",
    "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in",
    "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left",
    "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset",
    "on", "only", "or", "order", "outer", "overlaps", "placing", "primary", "references",
    "returning", "right", "select", "session_user", "similar", "some", "symmetric", "system_user",
    "table", "tableoid", "tablesample", "then", "to", "trailing", "true", "union", "unique", "user",
    "using", "variadic", "verbose", "when", "where", "window", "with", "xmax", "xmin",
];
