//! Every statement of the program, held against the migrated schema.

use std::{fs, path::Path};

use tokio_postgres::Client;

use crate::support::TestApp;

/// A statement as it stands in the source.
pub struct Statement {
    pub name: String,
    sql: String,
    /// What SQL calls the types of its parameters.
    types: Vec<String>,
}

/// Everything between these two, and what follows.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to)
}

fn statements_of(source: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let made = ["ReadQuery = ReadQuery::", "WriteQuery = WriteQuery::"];
    for text in made.iter().flat_map(|made| source.split(made).skip(1)) {
        let (name, rest) = between(text, "\"", "\"").unwrap();
        let (sql, rest) = between(rest, "\"", "\"").unwrap();
        let (types, _) = between(rest, "&[", "]").unwrap();
        let types = types.split(',').filter_map(|kind| {
            let kind = kind.trim().strip_prefix("Type::")?.to_lowercase();
            Some(kind.replace("_array", "[]"))
        });
        found.push(Statement {
            name: name.to_owned(),
            sql: sql.to_owned(),
            types: types.collect(),
        });
    }
    found
}

fn collect(folder: &Path, found: &mut Vec<Statement>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.extend(statements_of(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// Every statement of the features.
pub fn statements() -> Vec<Statement> {
    let mut found = Vec::new();
    let features = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/features");
    collect(&features, &mut found);
    assert!(found.len() >= 20, "only {} were found", found.len());
    found
}

pub async fn prepare(database: &Client, statement: &Statement) {
    let types = match statement.types.as_slice() {
        [] => String::new(),
        types => format!("({})", types.join(", ")),
    };
    let prepared = format!("PREPARE {} {types} AS {}", statement.name, statement.sql);
    let outcome = database.batch_execute(&prepared).await;
    outcome.unwrap_or_else(|error| panic!("{}: {error:?}", statement.name));
}

/// How PostgreSQL would go about it, whatever the parameters are.
async fn plan(database: &Client, statement: &Statement) -> String {
    let nulls = vec!["NULL"; statement.types.len()].join(", ");
    let arguments = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let explained = format!("EXPLAIN (COSTS OFF) EXECUTE {}{arguments}", statement.name);
    let rows = database.query(&explained, &[]).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// The tables that have rows when they are explained.
const FILLED: &[&str] = &[
    "jobs",
    "users",
    "sessions",
    "refresh_tokens",
    "rate_limits",
    "auth_networks",
];

/// As many users as a small service has, a few sessions and tokens each.
async fn fill(database: &Client) {
    let rows = "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
SELECT gen_random_uuid(), 'user' || number || '@example.com', 'none', 'VIEWER', true, now(), now()
FROM generate_series(1, 5000) AS number;
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ends_at)
SELECT gen_random_uuid(), id, now(), now(), now() + '1 day', now() + '1 day'
FROM users, generate_series(1, 3);
INSERT INTO refresh_tokens (hash, session_id, created_at)
SELECT sha256(id::text::bytea), id, now()
FROM sessions;
INSERT INTO auth_networks (user_id, network, last_used_at)
SELECT id, sha256(uuid_send(id) || number::text::bytea), now()
FROM users, generate_series(1, 3) AS number;
INSERT INTO rate_limits (key, full_at)
SELECT sha256(id::text::bytea), now() + '1 minute'
FROM users;
-- jobs: begin
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
SELECT gen_random_uuid(), 'kind' || number % 7, '{}', now(), number % 3, 'queued', 0, 10, 0, 0, now()
FROM generate_series(1, 5000) AS number;
-- jobs: end
ANALYZE;";
    database.batch_execute(rows).await.unwrap();
}

#[tokio::test]
async fn every_statement_is_one_that_the_schema_understands() {
    let app = TestApp::start().await;
    let database = app.database().await;

    for statement in statements() {
        prepare(&database, &statement).await;
    }
}

#[tokio::test]
async fn no_statement_that_a_visitor_causes_reads_a_whole_table() {
    let app = TestApp::start().await;
    let database = app.database().await;
    fill(&database).await;
    let generic = "SET plan_cache_mode = force_generic_plan";
    database.batch_execute(generic).await.unwrap();

    // Tables that other features bring have no rows here, and are read whole because they are
    // empty: of those it is asked whether an index would do.
    let mut scanned = Vec::new();
    for (seqscan, tables) in [("on", FILLED), ("off", &[""])] {
        let setting = format!("DEALLOCATE ALL; SET enable_seqscan = {seqscan}");
        database.batch_execute(&setting).await.unwrap();
        for statement in statements() {
            prepare(&database, &statement).await;
            let plan = plan(&database, &statement).await;
            let reads = |table: &&str| plan.contains(&format!("Seq Scan on {table}"));
            if tables.iter().any(reads) {
                scanned.push((statement.name, plan));
            }
        }
    }

    // The sweep takes whichever rows it meets first, and the sample counts them, until they have enough.
    let bounded = ["rate_limits_delete_full", "jobs_count"];
    scanned.retain(|(name, _)| !bounded.contains(&name.as_str()));
    assert!(scanned.is_empty(), "{scanned:#?}");
}

#[tokio::test]
async fn who_is_calling_is_read_from_two_indexes() {
    let app = TestApp::start().await;
    let database = app.database().await;
    fill(&database).await;
    let all = statements();
    let asked = all.iter().find(|found| found.name == "sessions_find_live");
    let generic = "SET plan_cache_mode = force_generic_plan";
    database.batch_execute(generic).await.unwrap();

    prepare(&database, asked.unwrap()).await;
    let plan = plan(&database, asked.unwrap()).await;

    let scans: Vec<_> = plan
        .lines()
        .filter_map(|line| line.split_once("Scan"))
        .map(|(_, rest)| rest.trim())
        .collect();
    assert_eq!(
        scans,
        [
            "using sessions_pkey on sessions s",
            "using users_pkey on users u"
        ],
        "{plan}"
    );
}

/// A session that was refreshed twenty thousand times.
async fn refresh_often(database: &Client) {
    let rows = "
INSERT INTO refresh_tokens (hash, session_id, created_at, used_at, masked_until)
SELECT sha256(number::text::bytea), id, now(), now() - number * interval '1 minute', now()
FROM generate_series(1, 20000) AS number, (SELECT id FROM sessions LIMIT 1) AS session;
UPDATE refresh_tokens
SET masked_successor = sha256('')
WHERE used_at > now() - interval '20 minutes';
ANALYZE;";
    database.batch_execute(rows).await.unwrap();
}

#[tokio::test]
async fn behind_a_session_that_is_refreshed_often_it_is_cleaned_up_by_index() {
    let app = TestApp::start().await;
    let database = app.database().await;
    fill(&database).await;
    refresh_often(&database).await;
    let generic = "SET plan_cache_mode = force_generic_plan";
    database.batch_execute(generic).await.unwrap();

    for (name, indexes) in [
        (
            "refresh_tokens_rotate",
            ["refresh_tokens_masked_idx", "refresh_tokens_used_at_idx"].as_slice(),
        ),
        ("refresh_tokens_erase_masks", &["refresh_tokens_masked_idx"]),
        (
            "refresh_tokens_delete_of_user",
            &["refresh_tokens_used_at_idx"],
        ),
    ] {
        let all = statements();
        let statement = all.iter().find(|found| found.name == name).unwrap();
        prepare(&database, statement).await;
        let plan = plan(&database, statement).await;

        for index in indexes {
            assert!(
                plan.contains(&format!(" using {index} on")),
                "{index}: {plan}"
            );
        }
        // In the order of the index, so that the hundred oldest are read and not all of them.
        assert!(!plan.contains("Sort"), "{plan}");
    }
}
