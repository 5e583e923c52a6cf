//! What the service's own role may do, granted by the role that migrates.
//!
//! An installation may have two roles: one that owns the tables and migrates, and one that the
//! service connects as, which reads and writes rows and cannot change the schema. What the latter
//! may do is one list, which the service hands in. Every transaction that migrates ends by making
//! the privileges what the list says, so a new table is never there without them, and a migration
//! that fails takes them back with it. Migrating with nothing pending does the same, which is how
//! an existing database is moved.
//!
//! Nothing is granted when there is nothing to separate: when the service's role is the one that
//! migrates, owns a table, or is a superuser. Then there is one role, and everything is as it was.
//! A table of the list that does not exist (yet, at this version, or any more) is skipped, and so
//! is one that the migrating role has no right to grant on: it was not made by these migrations.

use tokio_postgres::{Client, Transaction, types::Type};

/// What may be done with the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// `SELECT`.
    Select,
    /// `INSERT`, and the use of the sequences that belong to the table.
    Insert,
    /// `UPDATE`, and together with `SELECT` also `SELECT … FOR UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
}

impl Privilege {
    fn as_sql(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// A table, and everything that the service may do with it.
#[derive(Debug, Clone, Copy)]
pub struct TableGrant {
    /// The name of the table.
    pub table: &'static str,
    /// All privileges on it: others are revoked.
    pub privileges: &'static [Privilege],
}

impl TableGrant {
    /// These privileges on this table.
    #[must_use]
    pub const fn new(table: &'static str, privileges: &'static [Privilege]) -> Self {
        Self { table, privileges }
    }

    /// The privileges in the order in which [`STATEMENTS`] finds those that are there.
    fn as_sql(&self) -> String {
        let mut words: Vec<_> = self.privileges.iter().map(|one| one.as_sql()).collect();
        words.sort_unstable();
        words.join(", ")
    }
}

/// `/health` and the start of the service compare the schema's history with the program's.
const HISTORY: TableGrant = TableGrant::new("refinery_schema_history", &[Privilege::Select]);

/// What to grant, and to which role.
#[derive(Debug, Clone, Copy)]
pub struct Grants<'a> {
    role: Option<&'a str>,
    tables: &'static [TableGrant],
}

/// The statements that are missing. Schemas, tables and the role are names of the database, quoted
/// by it; privileges are words of [`Privilege`].
const STATEMENTS: &str = "
WITH service AS (
    SELECT oid, rolname
    FROM pg_roles
    WHERE rolname = $1 AND rolname <> current_user
), listed AS (
    SELECT class.oid, class.relacl, list.privileges, service.oid AS role, service.rolname
    FROM unnest($2::text[], $3::text[]) AS list (name, privileges)
    JOIN pg_class AS class ON class.oid = to_regclass(quote_ident(list.name))
    CROSS JOIN service
    WHERE pg_has_role(current_user, class.relowner, 'USAGE')
      AND NOT pg_has_role(service.oid, class.relowner, 'USAGE')
)
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), rolname) AS statement
FROM service
WHERE NOT has_schema_privilege(oid, current_schema(), 'USAGE')
UNION ALL
SELECT format('REVOKE ALL ON %1$s FROM %2$I; GRANT %3$s ON %1$s TO %2$I', oid::regclass, rolname, privileges)
FROM listed
WHERE privileges IS DISTINCT FROM (
    SELECT string_agg(DISTINCT acl.privilege_type, ', ' ORDER BY acl.privilege_type)
    FROM aclexplode(listed.relacl) AS acl
    WHERE acl.grantee = listed.role
)
UNION ALL
SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', sequence.oid::regclass, listed.rolname)
FROM listed
JOIN pg_depend AS part
    ON part.refclassid = 'pg_class'::regclass AND part.refobjid = listed.oid
    AND part.classid = 'pg_class'::regclass AND part.deptype IN ('a', 'i')
JOIN pg_class AS sequence ON sequence.oid = part.objid AND sequence.relkind = 'S'
WHERE listed.privileges LIKE '%INSERT%'
  AND NOT has_sequence_privilege(listed.role, sequence.oid, 'USAGE')";

impl<'a> Grants<'a> {
    /// These privileges for the role that the service connects as. Without a role nothing is granted.
    #[must_use]
    pub fn new(role: Option<&'a str>, tables: &'static [TableGrant]) -> Self {
        Self { role, tables }
    }

    /// Nothing, for an installation that has one role.
    #[must_use]
    pub fn none() -> Self {
        Self::new(None, &[])
    }

    /// Makes the privileges what they are to be, when the transaction commits.
    pub(crate) async fn apply(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(), tokio_postgres::Error> {
        let Some(role) = self.role else {
            return Ok(());
        };
        let all = || self.tables.iter().chain([&HISTORY]);
        let names: Vec<_> = all().map(|grant| grant.table).collect();
        let privileges: Vec<_> = all().map(TableGrant::as_sql).collect();
        let missing = transaction
            .query(STATEMENTS, &[&role, &names, &privileges])
            .await?;
        for row in missing {
            let statement: &str = row.try_get("statement")?;
            transaction.batch_execute(statement).await?;
        }
        Ok(())
    }

    /// The role to grant to, when the database does not have it: a mistake in the settings.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn unknown_role(
        &self,
        client: &Client,
    ) -> Result<Option<&'a str>, tokio_postgres::Error> {
        let Some(role) = self.role else {
            return Ok(None);
        };
        // Not prepared: the connection may lead through a pooler.
        let known = "SELECT rolname FROM pg_roles WHERE rolname = $1";
        let found = client.query_typed(known, &[(&role, Type::TEXT)]).await?;
        Ok(found.is_empty().then_some(role))
    }

    /// What the role of this connection may do beyond reading and writing rows, in words. Empty when nothing.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn excess(&self, client: &Client) -> Result<Excess, tokio_postgres::Error> {
        let names: Vec<_> = self.tables.iter().map(|grant| grant.table).collect();
        // Not prepared: the service's own connection may lead through a pooler.
        let rows = client
            .query_typed(EXCESS, &[(&names, Type::TEXT_ARRAY)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Excess::default());
        };
        let mut reasons = Vec::new();
        if row.try_get("is_superuser")? {
            reasons.push("is a superuser");
        } else if row.try_get("is_owner")? {
            reasons.push("owns the tables");
        }
        if row.try_get("bypasses_row_security")? {
            reasons.push("bypasses row security");
        }
        Ok(Excess {
            role: row.try_get("role")?,
            reasons,
        })
    }
}

/// What a role may do beyond reading and writing rows.
#[derive(Debug, Default)]
pub struct Excess {
    /// The role.
    pub role: String,
    /// In words that follow its name: `owns the tables`. Empty when it may do no more than it should.
    pub reasons: Vec<&'static str>,
}

/// Every superuser bypasses row security and counts as a member of every owner: it is called a superuser, and no more.
const EXCESS: &str = "
SELECT
    rolname AS role,
    rolsuper AS is_superuser,
    rolbypassrls AND NOT rolsuper AS bypasses_row_security,
    EXISTS (
        SELECT
        FROM unnest($1::text[]) AS list (name)
        JOIN pg_class AS class ON class.oid = to_regclass(quote_ident(list.name))
        WHERE pg_has_role(class.relowner, 'USAGE')
    ) AS is_owner
FROM pg_roles
WHERE rolname = current_user";
