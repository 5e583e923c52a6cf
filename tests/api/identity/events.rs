//! Events of what changes: observers inside the transaction, hooks after the commit.

use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, future::ready};
use prometheus::Registry;
use warp_skeleton::{
    features::identity::{
        self, AccessTokens, Auth, AuthEvents, Change, Email, Error, Event, HashMetrics, Hasher,
        Observer, Password, PasswordPolicy, Role, SessionLifetimes, Subscribers, UserChange,
    },
    settings::{self, Settings},
};

use crate::support::TestApp;

/// The feature over the database of this app, with subscribers of the test's own.
pub fn with_subscribers(app: &TestApp, subscribers: Subscribers) -> Auth {
    let pairs = [
        ("APP_ENV", "test"),
        ("SCRYPT_LOG_N", "1"),
        ("SCRYPT_P", "1"),
    ];
    let settings = Settings::read(&settings::values(pairs).unwrap()).unwrap();
    let registry = Registry::new();
    Auth::new(identity::Parts {
        database: app.app.database.clone(),
        hasher: Hasher::new(&settings.passwords, HashMetrics::new(&registry)),
        policy: PasswordPolicy::new(8),
        limits: app.app.limits.clone(),
        tokens: AccessTokens::new(&settings.auth),
        activity: identity::session_activity().0,
        events: AuthEvents::new(&registry),
        subscribers,
        flows: identity::Flows::default(),
        clock: app.clock.clone(),
        lifetimes: SessionLifetimes::from(&settings.auth),
    })
}

/// Subscribers of which the hook collects what it gets.
fn collecting(observe: Observer) -> (Subscribers, Arc<Mutex<Vec<Change>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&seen);
    let subscribers = Subscribers {
        observe: Arc::new([observe]),
        committed: Arc::new([Arc::new(move |event: &Event| {
            collected.lock().unwrap().push(event.change.clone());
        })]),
    };
    (subscribers, seen)
}

pub async fn create(auth: &Auth) -> Result<identity::User, Error> {
    let email = Email::parse("ada@marked.example").unwrap();
    let text = "marked-password-1".to_owned();
    let password = Password::parse(&text.into(), &email, auth.policy()).unwrap();
    auth.create_user(email, password, Role::Owner).await
}

#[tokio::test]
async fn each_change_is_told_once_and_a_refusal_is_not() {
    let app = TestApp::start().await;
    let (subscribers, seen) = collecting(Arc::new(|_, _| ready(Ok(())).boxed()));
    let auth = with_subscribers(&app, subscribers);

    let user = create(&auth).await.unwrap();
    create(&auth).await.unwrap_err();
    auth.delete_user(user.id).await.unwrap_err();
    app.user().role(Role::Owner).create().await;
    let change = UserChange {
        role: Some(Role::Member),
        is_active: Some(false),
    };
    auth.change_user(user.id, change).await.unwrap();
    auth.delete_user(user.id).await.unwrap();

    let user = user.id;
    let expected = [
        Change::UserCreated {
            user,
            role: Role::Owner,
        },
        Change::UserChanged {
            user,
            role: (Role::Owner, Role::Member),
            is_active: (true, false),
        },
        Change::UserDeleted {
            user,
            role: Role::Member,
        },
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn when_an_observer_fails_nothing_is_changed_and_no_hook_runs() {
    let app = TestApp::start().await;
    let (subscribers, seen) = collecting(Arc::new(|_, _| ready(Err(Error::NotFound)).boxed()));
    let auth = with_subscribers(&app, subscribers);

    let outcome = create(&auth).await;

    assert!(matches!(outcome, Err(Error::NotFound)), "{outcome:?}");
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0);
    assert!(seen.lock().unwrap().is_empty());
}
