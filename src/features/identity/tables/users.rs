//! The table `users`.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::writer::Writer;
use crate::{
    features::identity::{Email, EmailCursor, Error, PasswordHash, Role, User, UserFilter, UserId},
    shared::PageRequest,
};

impl TryFrom<&Row> for User {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let email: &str = row.try_get("email")?;
        let role: &str = row.try_get("role")?;
        Ok(Self {
            id: UserId::from(row.try_get::<_, uuid::Uuid>("id")?),
            email: Email::parse(email).map_err(|_| DatabaseError::InvalidColumn("email"))?,
            role: role
                .parse()
                .map_err(|_| DatabaseError::InvalidColumn("role"))?,
            is_active: row.try_get("is_active")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

static INSERT: WriteQuery = WriteQuery::insert(
    "users_insert",
    "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)",
    &[
        Type::UUID,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::BOOL,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// Adds a user.
pub(in crate::features::identity) async fn insert(
    db: &impl Writer,
    user: &User,
    hash: &PasswordHash,
) -> Result<(), Error> {
    let inserted = db
        .execute(
            &INSERT,
            &[
                user.id.as_uuid(),
                &user.email.as_str(),
                &hash.as_str(),
                &user.role.as_str(),
                &user.is_active,
                &user.created_at,
                &user.updated_at,
            ],
        )
        .await;
    inserted.map_err(taken)?;
    Ok(())
}

fn taken(error: DatabaseError) -> Error {
    if error.violates("users_email_key") {
        return Error::EmailTaken;
    }
    error.into()
}

static FIND_BY_EMAIL: ReadQuery = ReadQuery::new(
    "users_find_by_email",
    "
SELECT id, email, role, is_active, created_at, updated_at
FROM users
WHERE email = $1",
    &[Type::TEXT],
);

/// The user of this address.
pub(in crate::features::identity) async fn find_by_email(
    db: &impl ReadExecutor,
    email: &Email,
) -> Result<Option<User>, DatabaseError> {
    let row = db.optional(&FIND_BY_EMAIL, &[&email.as_str()]).await?;
    row.as_ref().map(User::try_from).transpose()
}

pub(super) fn with_hash(row: &Row) -> Result<(User, PasswordHash), DatabaseError> {
    Ok((
        row.try_into()?,
        PasswordHash::new(row.try_get("password_hash")?),
    ))
}

static FIND: ReadQuery = ReadQuery::new(
    "users_find",
    "
SELECT id, email, role, is_active, created_at, updated_at
FROM users
WHERE id = $1",
    &[Type::UUID],
);

/// The user of this id.
pub(in crate::features::identity) async fn find(
    db: &impl ReadExecutor,
    id: UserId,
) -> Result<Option<User>, DatabaseError> {
    let row = db.optional(&FIND, &[id.as_uuid()]).await?;
    row.as_ref().map(User::try_from).transpose()
}

static FIND_WITH_PASSWORD: ReadQuery = ReadQuery::new(
    "users_find_with_password",
    "
SELECT u.id, u.email, u.password_hash, u.role, u.is_active, u.created_at, u.updated_at,
       c.changed_at AS password_changed_at
FROM users AS u
JOIN credentials AS c ON c.user_id = u.id AND c.kind = 'password'
WHERE u.id = $1",
    &[Type::UUID],
);

/// The user of this id with its password, to verify one and to tell later whether it is still the same.
pub(in crate::features::identity) async fn find_with_password(
    db: &impl ReadExecutor,
    id: UserId,
) -> Result<Option<(User, CurrentPassword)>, DatabaseError> {
    let row = db.optional(&FIND_WITH_PASSWORD, &[id.as_uuid()]).await?;
    row.as_ref().map(with_password).transpose()
}

/// The hash of a user's password, and when the user chose it.
#[derive(Debug, Clone)]
pub(in crate::features::identity) struct CurrentPassword {
    pub(in crate::features::identity) hash: PasswordHash,
    pub(in crate::features::identity) changed_at: OffsetDateTime,
}

pub(super) fn with_password(row: &Row) -> Result<(User, CurrentPassword), DatabaseError> {
    let (user, hash) = with_hash(row)?;
    let changed_at = row.try_get("password_changed_at")?;
    Ok((user, CurrentPassword { hash, changed_at }))
}

static LIST: ReadQuery = ReadQuery::new(
    "users_list",
    "
SELECT u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM unnest($1::text[]) AS r (role)
CROSS JOIN unnest($2::boolean[]) AS a (is_active)
CROSS JOIN LATERAL (
    SELECT id, email, role, is_active, created_at, updated_at
    FROM users
    WHERE role = r.role AND is_active = a.is_active AND id > $3
    ORDER BY id
    LIMIT $4
) AS u
ORDER BY u.id
LIMIT $4",
    &[Type::TEXT_ARRAY, Type::BOOL_ARRAY, Type::UUID, Type::INT8],
);

/// The rows for this page, oldest first, whatever their address.
///
/// Each filter is the list of values that it admits, and each pair of values a range of one index, of which as many rows are read as a
/// page has. So no combination reads more than eight pages of rows, however few users it admits; a condition that is
/// left out when there is no filter (`$1 IS NULL OR role = $1`) would read the whole table for a rare one.
pub(in crate::features::identity) async fn list(
    db: &impl ReadExecutor,
    filter: &UserFilter,
    request: PageRequest,
) -> Result<Vec<User>, DatabaseError> {
    let (roles, states) = admitted(filter);
    let parameters: [&(dyn ToSql + Sync); 4] = [&roles, &states, &request.after(), &request.rows()];
    let rows = db.rows(&LIST, &parameters).await?;
    rows.iter().map(User::try_from).collect()
}

static LIST_BY_EMAIL: ReadQuery = ReadQuery::new(
    "users_list_by_email",
    "
SELECT u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM unnest($1::text[]) AS r (role)
CROSS JOIN unnest($2::boolean[]) AS a (is_active)
CROSS JOIN LATERAL (
    SELECT id, email, role, is_active, created_at, updated_at
    FROM users
    WHERE role = r.role AND is_active = a.is_active
      AND email >= $3 AND email < $4 AND email > $5
    ORDER BY email
    LIMIT $6
) AS u
ORDER BY u.email
LIMIT $6",
    &[
        Type::TEXT_ARRAY,
        Type::BOOL_ARRAY,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::INT8,
    ],
);

/// The rows for this page whose address begins like this, by address: no index finds a prefix in another order.
///
/// A prefix is a range in an index in byte order: from itself up to itself and
/// the last character of ASCII, which no address holds. Unlike `LIKE` it needs
/// no escaping, and a prepared statement finds the index, too.
pub(in crate::features::identity) async fn list_by_email(
    db: &impl ReadExecutor,
    prefix: &str,
    filter: &UserFilter,
    request: &PageRequest<EmailCursor>,
) -> Result<Vec<User>, DatabaseError> {
    let (roles, states) = admitted(filter);
    let end = format!("{prefix}\u{7f}");
    let after = request.cursor().map_or("", EmailCursor::email);
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&roles, &states, &prefix, &end, &after, &request.rows()];
    let rows = db.rows(&LIST_BY_EMAIL, &parameters).await?;
    rows.iter().map(User::try_from).collect()
}

/// The roles and states that a filter admits.
fn admitted(filter: &UserFilter) -> (Vec<&'static str>, Vec<bool>) {
    let roles = filter.role.map_or(Role::ALL.to_vec(), |role| vec![role]);
    let states = filter
        .is_active
        .map_or(vec![false, true], |state| vec![state]);
    (roles.into_iter().map(Role::as_str).collect(), states)
}

static UPDATE_ROLE_AND_STATE: WriteQuery = WriteQuery::update(
    "users_update_role_and_state",
    "
UPDATE users
SET role = $2, is_active = $3, updated_at = $4
WHERE id = $1",
    &[Type::UUID, Type::TEXT, Type::BOOL, Type::TIMESTAMPTZ],
);

/// Writes role and state.
pub(in crate::features::identity) async fn update_role_and_state(
    db: &impl Writer,
    user: &User,
) -> Result<(), DatabaseError> {
    db.execute(
        &UPDATE_ROLE_AND_STATE,
        &[
            user.id.as_uuid(),
            &user.role.as_str(),
            &user.is_active,
            &user.updated_at,
        ],
    )
    .await?;
    Ok(())
}

static UPDATE_EMAIL: WriteQuery = WriteQuery::update(
    "users_update_email",
    "
UPDATE users
SET email = $2, updated_at = $3
WHERE id = $1
RETURNING id, email, role, is_active, created_at, updated_at",
    &[Type::UUID, Type::TEXT, Type::TIMESTAMPTZ],
);

/// Writes the address.
pub(in crate::features::identity) async fn update_email(
    db: &impl Writer,
    id: UserId,
    email: &Email,
    now: OffsetDateTime,
) -> Result<Option<User>, Error> {
    let row = db
        .returning_optional(&UPDATE_EMAIL, &[id.as_uuid(), &email.as_str(), &now])
        .await
        .map_err(taken)?;
    Ok(row.as_ref().map(User::try_from).transpose()?)
}

static UPDATE_HASH: WriteQuery = WriteQuery::update(
    "users_update_hash",
    "
UPDATE users
SET password_hash = $2, updated_at = $3
WHERE id = $1",
    &[Type::UUID, Type::TEXT, Type::TIMESTAMPTZ],
);

/// Gives a user, who is locked, the hash of another password.
pub(in crate::features::identity) async fn update_hash(
    db: &impl Writer,
    id: UserId,
    new: &PasswordHash,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [id.as_uuid(), &new.as_str(), &now];
    db.execute(&UPDATE_HASH, &parameters).await?;
    Ok(())
}

static UPDATE_HASH_OF_SAME_PASSWORD: WriteQuery = WriteQuery::update(
    "users_update_hash_of_same_password",
    "
UPDATE users
SET password_hash = $3, updated_at = $4
WHERE id = $1 AND password_hash = $2
RETURNING (
    SELECT changed_at
    FROM credentials
    WHERE user_id = $1 AND kind = 'password'
) AS changed_at",
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TIMESTAMPTZ],
);

static RESTORE_CHANGED_AT: WriteQuery = WriteQuery::update(
    "credentials_restore_changed_at",
    "
UPDATE credentials
SET changed_at = $3
WHERE user_id = $1 AND kind = 'password' AND secret = $2",
    &[Type::UUID, Type::TEXT, Type::TIMESTAMPTZ],
);

/// Replaces this hash by another one of the same password, unless it was replaced in the meantime.
///
/// The trigger on users takes every new hash for a new password and moves the credential's
/// `changed_at`, which what was issued for the password depends on, so it is put back. The first
/// statement returns it as it was: the trigger runs after the statement, whose subquery sees the
/// rows from before it. One statement cannot do both, because the trigger would have the last word.
/// Within a transaction, or others see the moved time in between.
pub(in crate::features::identity) async fn update_hash_of_same_password(
    db: &impl Writer,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] = [id.as_uuid(), &old.as_str(), &new.as_str(), &now];
    let row = db
        .returning_optional(&UPDATE_HASH_OF_SAME_PASSWORD, &parameters)
        .await?;
    let Some(row) = row else {
        return Ok(false);
    };
    let changed_at: OffsetDateTime = row.try_get("changed_at")?;
    db.execute(
        &RESTORE_CHANGED_AT,
        &[id.as_uuid(), &new.as_str(), &changed_at],
    )
    .await?;
    Ok(true)
}

static DELETE: WriteQuery = WriteQuery::delete(
    "users_delete",
    "
DELETE FROM users
WHERE id = $1",
    &[Type::UUID],
);

/// Removes a user, and by the schema's rule everything that is theirs.
pub(in crate::features::identity) async fn delete(
    db: &impl Writer,
    id: UserId,
) -> Result<(), DatabaseError> {
    db.execute(&DELETE, &[id.as_uuid()]).await?;
    Ok(())
}
