//! Every list, with every combination of its filters, reads about as many rows as it shows.

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::statements::{prepare, statements};
use crate::support::TestApp;

/// Users of which few are anything but active viewers, and one with as many sessions as a user may have.
async fn fill(database: &Client, users: u32) {
    // The trigger would write a credential for each.
    let rows = format!(
        "
SET session_replication_role = replica;
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
SELECT gen_random_uuid(), 'user' || number || '@example.com', 'none',
       CASE number % 1000 WHEN 0 THEN 'ADMIN' WHEN 1 THEN 'OWNER' WHEN 2 THEN 'MEMBER' ELSE 'VIEWER' END,
       number % 997 <> 0, now(), now()
FROM generate_series(1, {users}) AS number;
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ends_at)
SELECT gen_random_uuid(), id, now(), now(), now() + '1 day', now() + '1 day'
FROM users
LIMIT 10000;
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ends_at)
SELECT gen_random_uuid(), min(id::text)::uuid, now(), now(), now() + '1 day', now() + '1 day'
FROM users, generate_series(1, 20)
GROUP BY generate_series;
SET session_replication_role = DEFAULT;
ANALYZE users, sessions;"
    );
    database.batch_execute(&rows).await.unwrap();
}

/// How many rows of tables a plan reads, those that it throws away included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let is_scan = plan["Relation Name"].is_string();
    let discarded = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = (number("Actual Rows") + discarded) * number("Actual Loops");
    let below = plan["Plans"].as_array().into_iter().flatten();
    f64::from(u8::from(is_scan)) * own + below.map(rows_read).sum::<f64>()
}

/// Runs a prepared statement and returns how many rows it read.
async fn read_by(database: &Client, name: &str, arguments: &str) -> f64 {
    let sql = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} ({arguments})");
    let answer = database.simple_query(&sql).await.unwrap();
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(&rows.collect::<String>()).unwrap();
    rows_read(&plan[0]["Plan"])
}

/// Explains every list with every combination of filters, and cursors at the beginning, in the middle and at the end.
async fn every_list_reads_a_few_pages(users: u32) {
    let app = TestApp::start().await;
    let database = app.database().await;
    fill(&database, users).await;
    for statement in statements() {
        if statement.name.contains("list") {
            prepare(&database, &statement).await;
        }
    }
    let roles = [
        "OWNER",
        "ADMIN",
        "MEMBER",
        "VIEWER",
        "OWNER,ADMIN,MEMBER,VIEWER",
    ];
    let mut lists = Vec::new();
    for role in roles {
        for state in ["true", "false", "true,false"] {
            let filter = format!("'{{{role}}}', '{{{state}}}'");
            for after in ["00000000", "80000000", "ffffffff"] {
                let cursor = format!("'{after}-0000-0000-0000-000000000000'");
                lists.push(("users_list", format!("{filter}, {cursor}, 21")));
            }
            for prefix in ["", "u", "user5", "user500@", "x"] {
                for after in ["", "user5", "user99"] {
                    let range = format!("'{prefix}', E'{prefix}\\x7f', '{after}'");
                    lists.push(("users_list_by_email", format!("{filter}, {range}, 21")));
                }
            }
        }
    }
    let user = "SELECT user_id FROM sessions GROUP BY user_id ORDER BY count(*) DESC LIMIT 1";
    let user: uuid::Uuid = database.query_one(user, &[]).await.unwrap().get(0);
    lists.push(("sessions_list", format!("'{user}', now()")));

    for mode in ["force_generic_plan", "force_custom_plan"] {
        let set = format!("SET plan_cache_mode = {mode}");
        database.batch_execute(&set).await.unwrap();
        for (name, arguments) in &lists {
            let read = read_by(&database, name, arguments).await;
            assert!(
                read <= 8.0 * 21.0,
                "{mode}: {name} ({arguments}) reads {read} rows"
            );
        }
    }
}

#[tokio::test]
async fn a_list_reads_a_few_pages_whatever_it_is_narrowed_to() {
    every_list_reads_a_few_pages(20_000).await;
}

#[tokio::test]
#[ignore = "takes a minute: cargo test --test api -- --ignored a_list_of_a_million"]
async fn a_list_of_a_million_users_does_too() {
    every_list_reads_a_few_pages(1_000_000).await;
}
