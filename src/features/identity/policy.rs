//! What a user may do to an account: one table, without I/O.
//!
//! It is asked inside the transaction that writes, with actor and target as they are under lock. The
//! role that an endpoint requires at all is not its business: [`Caller::begin`](super::Caller::begin)
//! checks that before.

use super::{Principal, Role, UserId};

/// On whose behalf an account is administered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in user.
    User {
        /// Its id.
        id: UserId,
        /// Its role.
        role: Role,
    },
    /// A person who runs the program on the server.
    Operator,
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self::User {
            id: principal.id(),
            role: principal.user.role,
        }
    }
}

/// What is done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It gets this role and this state, which may be the ones it has.
    Change {
        /// The role afterwards.
        role: Role,
        /// Whether it may sign in afterwards.
        is_active: bool,
    },
    /// It is deleted.
    Delete,
    /// It is sent a link to a new password.
    SendReset,
    // api_keys: begin
    /// Its API keys are listed, or one is revoked.
    ManageKeys,
    // api_keys: end
}

/// The account that it is done to, as it is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: UserId,
    /// Its role.
    pub role: Role,
    /// Whether it is the only active owner.
    pub is_last_owner: bool,
}

/// Why something is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The account, or the role it would get, is above the actor.
    #[error("an account above the caller's own role cannot be edited, nor a role above it granted")]
    AboveOwnLevel,
    /// No active owner would be left.
    #[error("the last active owner stays")]
    LastOwner,
}

/// Whether this actor may do this to this account.
///
/// # Errors
///
/// The first rule that denies it.
pub fn may(actor: Actor, action: Action, target: Target) -> Result<(), Denied> {
    let keeps_owner = match action {
        Action::Change { role, is_active } => role == Role::Owner && is_active,
        Action::Delete => false,
        Action::SendReset
        // api_keys: begin
        | Action::ManageKeys
        // api_keys: end
        => true,
    };
    let highest = match action {
        Action::Change { role, .. } => role.max(target.role),
        Action::Delete
        // api_keys: begin
        | Action::ManageKeys
        // api_keys: end
        | Action::SendReset => target.role,
    };
    match actor {
        Actor::User { role, .. } if highest > role => Err(Denied::AboveOwnLevel),
        Actor::User { .. } | Actor::Operator if target.is_last_owner && !keeps_owner => {
            Err(Denied::LastOwner)
        }
        Actor::User { .. } | Actor::Operator => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every action there is: each role with each state, and those that have none.
    fn actions() -> Vec<Action> {
        let changes = Role::ALL
            .into_iter()
            .flat_map(|role| [true, false].map(|is_active| Action::Change { role, is_active }));
        let others = [
            Action::Delete,
            Action::SendReset,
            // api_keys: begin
            Action::ManageKeys,
            // api_keys: end
        ];
        changes.chain(others).collect()
    }

    /// Every target: each role, as the actor itself or another; owners also as the last one.
    fn targets(own: UserId) -> Vec<Target> {
        let mut targets = Vec::new();
        for id in [own, UserId::generate()] {
            for role in Role::ALL {
                for is_last_owner in [false, role == Role::Owner] {
                    targets.push(Target {
                        id,
                        role,
                        is_last_owner,
                    });
                }
            }
        }
        targets
    }

    fn removes_owner(action: Action) -> bool {
        let stays = Action::Change {
            role: Role::Owner,
            is_active: true,
        };
        let keeps = [
            stays,
            Action::SendReset,
            // api_keys: begin
            Action::ManageKeys,
            // api_keys: end
        ];
        !keeps.contains(&action)
    }

    fn grants(action: Action) -> Option<Role> {
        match action {
            Action::Change { role, .. } => Some(role),
            Action::Delete
            // api_keys: begin
            | Action::ManageKeys
            // api_keys: end
            | Action::SendReset => None,
        }
    }

    #[test]
    fn a_user_edits_and_grants_up_to_its_own_level_and_keeps_the_last_owner() {
        let id = UserId::generate();
        let mut allowed = 0;
        for role in Role::ALL {
            for target in targets(id) {
                // What the row says about oneself is what one is.
                if target.id == id && target.role != role {
                    continue;
                }
                for action in actions() {
                    let outcome = may(Actor::User { id, role }, action, target);

                    let is_above =
                        target.role > role || grants(action).is_some_and(|granted| granted > role);
                    let expected = if is_above {
                        Err(Denied::AboveOwnLevel)
                    } else if target.is_last_owner && removes_owner(action) {
                        Err(Denied::LastOwner)
                    } else {
                        Ok(())
                    };
                    assert_eq!(outcome, expected, "{role} {action:?} {target:?}");
                    allowed += usize::from(outcome.is_ok());
                }
            }
        }
        assert!(allowed > 50, "only {allowed} were allowed");
    }

    #[test]
    fn an_operator_may_all_but_remove_the_last_owner() {
        for target in targets(UserId::generate()) {
            for action in actions() {
                let outcome = may(Actor::Operator, action, target);

                let is_denied = target.is_last_owner && removes_owner(action);
                let expected = if is_denied {
                    Err(Denied::LastOwner)
                } else {
                    Ok(())
                };
                assert_eq!(outcome, expected, "{action:?} {target:?}");
            }
        }
    }

    #[test]
    fn the_table_in_examples() {
        let id = UserId::generate();
        let actor = |role| Actor::User { id, role };
        let target = |role| Target {
            id: UserId::generate(),
            role,
            is_last_owner: false,
        };
        let change = |role| Action::Change {
            role,
            is_active: true,
        };
        let above = Err(Denied::AboveOwnLevel);

        assert_eq!(
            may(
                actor(Role::Admin),
                change(Role::Admin),
                target(Role::Member)
            ),
            Ok(())
        );
        assert_eq!(
            may(
                actor(Role::Admin),
                change(Role::Owner),
                target(Role::Member)
            ),
            above
        );
        assert_eq!(
            may(actor(Role::Admin), change(Role::Admin), target(Role::Owner)),
            above
        );
        assert_eq!(
            may(actor(Role::Admin), Action::Delete, target(Role::Owner)),
            above
        );
        assert_eq!(
            may(actor(Role::Owner), Action::Delete, target(Role::Owner)),
            Ok(())
        );
    }
}
