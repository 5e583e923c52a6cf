//! Users and sessions with sensible defaults: a test mentions only what it is about.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use warp_skeleton::features::identity::{Email, Password, Role, UserChange, UserId};

use super::{Answer, TestApp};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A user of the service under test.
#[derive(Debug, Clone)]
pub struct TestUser {
    pub id: UserId,
    pub email: String,
    pub password: String,
}

/// What signing in gave.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    /// Reads them from an answer that has to be 200.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        answer.assert_status(200);
        let tokens = answer.json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// A user being put together.
pub struct UserBuilder<'a> {
    app: &'a TestApp,
    email: String,
    password: String,
    role: Role,
    is_active: bool,
}

impl TestApp {
    /// A user that does not exist yet: an active VIEWER with an address of its own.
    pub fn user(&self) -> UserBuilder<'_> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        UserBuilder {
            app: self,
            email: format!("user{number}@marked.example"),
            password: format!("marked-password-{number}"),
            role: Role::Viewer,
            is_active: true,
        }
    }

    /// The answer to signing in.
    pub async fn try_sign_in(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.post("/auth/token").json(&body).send().await
    }

    /// The tokens of a new session.
    pub async fn sign_in(&self, user: &TestUser) -> Tokens {
        Tokens::of(&self.try_sign_in(&user.email, &user.password).await)
    }

    /// The answer to a refresh.
    pub async fn try_refresh(&self, token: &str) -> Answer {
        let body = json!({"refresh_token": token});
        self.post("/auth/refresh").json(&body).send().await
    }

    /// The answer to asking who one is.
    pub async fn me(&self, token: &str) -> Answer {
        self.get("/auth/me").bearer(token).send().await
    }

    /// A new user of this role and the access token of a session.
    pub async fn signed_in(&self, role: Role) -> (TestUser, String) {
        let user = self.user().role(role).create().await;
        let tokens = self.sign_in(&user).await;
        (user, tokens.access)
    }
}

impl UserBuilder<'_> {
    pub fn email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.email);
        self
    }

    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub fn disabled(mut self) -> Self {
        self.is_active = false;
        self
    }

    /// Makes the user.
    pub async fn create(self) -> TestUser {
        let users = &self.app.auth;
        let email = Email::parse(&self.email).unwrap();
        let password =
            Password::parse(&self.password.clone().into(), &email, users.policy()).unwrap();
        let user = users.create_user(email, password, self.role).await.unwrap();
        if !self.is_active {
            let change = UserChange {
                role: None,
                is_active: Some(false),
            };
            self.app.auth.change_user(user.id, change).await.unwrap();
        }
        TestUser {
            id: user.id,
            email: self.email,
            password: self.password,
        }
    }
}
