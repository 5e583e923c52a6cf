//! Reads, a single write and a transaction: `DATABASE_URL=postgres://… cargo run --example query`.

use std::{error::Error, time::Duration};

use chassis_postgres::{
    ConnectionDefaults, ConnectionTarget, Database, DatabaseError, DatabaseMetrics,
    PostgresOptions, ReadExecutor, ReadQuery, Type, WriteExecutor, WriteQuery, connect,
};

static SUM: ReadQuery = ReadQuery::new(
    "accounts_sum",
    "
SELECT coalesce(sum(balance), 0)::bigint AS total
FROM example_accounts",
    &[],
);

static INSERT: WriteQuery = WriteQuery::insert(
    "accounts_insert",
    "
INSERT INTO example_accounts (name, balance)
VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE
SET balance = excluded.balance",
    &[Type::TEXT, Type::INT8],
);

static MOVE: WriteQuery = WriteQuery::update(
    "accounts_move",
    "
UPDATE example_accounts
SET balance = balance + $2
WHERE name = $1",
    &[Type::TEXT, Type::INT8],
);

async fn total(db: &impl ReadExecutor) -> Result<i64, DatabaseError> {
    let rows = db.rows(&SUM, &[]).await?;
    Ok(rows[0].try_get("total")?)
}

async fn change(db: &impl WriteExecutor, name: &str, by: i64) -> Result<(), DatabaseError> {
    db.execute(&MOVE, &[&name, &by]).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "an example has no settings but this one"
    )]
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL")?;
    let target = ConnectionTarget::from_url(&url, ConnectionDefaults::default())?;
    // A migration would do this; a direct connection shows how to get one.
    let direct = connect(&target, Duration::from_secs(5)).await?;
    direct
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS example_accounts (
                name text PRIMARY KEY,
                balance bigint NOT NULL CONSTRAINT balance_positive CHECK (balance >= 0)
            )",
        )
        .await?;

    let metrics = DatabaseMetrics::new(&prometheus::Registry::new());
    let database = Database::new(&PostgresOptions::new(target), metrics)?;
    let connection = database.connection().await?;
    for name in ["alice", "bob"] {
        connection.execute(&INSERT, &[&name, &100_i64]).await?;
    }
    drop(connection);

    let transaction = database.begin().await?;
    change(&transaction, "alice", -30).await?;
    change(&transaction, "bob", 30).await?;
    transaction.commit().await?;
    println!(
        "total after a transfer: {}",
        total(database.read_pool()).await?
    );

    let transaction = database.begin().await?;
    change(&transaction, "bob", 500).await?;
    let refused = change(&transaction, "alice", -500).await;
    if let Err(error) = refused {
        println!("a transfer of too much: {error}");
    }
    transaction.rollback().await?;
    println!(
        "total after a rollback: {}",
        total(database.read_pool()).await?
    );

    direct.batch_execute("DROP TABLE example_accounts").await?;
    Ok(())
}
