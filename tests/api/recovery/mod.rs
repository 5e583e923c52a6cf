//! Accounts that are recovered by mail.

mod change_email;
mod links;
mod notices;
mod registration;
mod reset;
mod verify;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use warp_skeleton::features::jobs::Outcome;

use crate::support::{Answer, TestApp};

/// A service that writes its mail into a folder.
pub struct Mailbox {
    pub app: TestApp,
    folder: PathBuf,
}

/// A message that was sent.
#[derive(Debug)]
pub struct Mail {
    pub template: String,
    pub to: String,
    /// All of it, decoded.
    pub text: String,
}

impl Mail {
    /// The token of its link.
    #[track_caller]
    pub fn token(&self) -> String {
        let (_, token) = self.text.split_once("#token=").expect("a mail with a link");
        let is_part = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        token.chars().take_while(is_part).collect()
    }
}

impl Mailbox {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("mail-{}", uuid::Uuid::new_v4()));
        let mut all = vec![("MAIL_FOLDER", folder.to_str().unwrap())];
        all.extend(settings);
        Self {
            app: TestApp::with(&all).await,
            folder,
        }
    }

    /// Runs what is due, or will be in a moment, and takes the mail that came of it out of the folder, oldest first.
    pub async fn receive(&self) -> Vec<Mail> {
        let sql =
            "UPDATE jobs SET run_at = run_at - interval '2 s' WHERE kind = 'recovery.forgotten'";
        self.app.database().await.execute(sql, &[]).await.unwrap();
        let outcomes = self.app.run_due_jobs().await;
        let failed = outcomes
            .iter()
            .find(|outcome| !matches!(outcome, Outcome::Succeeded));
        assert!(failed.is_none(), "{outcomes:?}");
        self.take()
    }

    /// The one message that comes.
    #[track_caller]
    pub fn only(mut mails: Vec<Mail>, template: &str) -> Mail {
        assert_eq!(mails.len(), 1, "{mails:?}");
        let mail = mails.remove(0);
        assert_eq!(mail.template, template);
        mail
    }

    fn take(&self) -> Vec<Mail> {
        let Ok(files) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let mails = paths.iter().map(|path| {
            let raw = fs::read_to_string(path).unwrap();
            fs::remove_file(path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let template = name.split('-').nth(1).unwrap().to_owned();
            let to = raw.lines().find_map(|line| line.strip_prefix("To: "));
            let to = to.unwrap().trim_matches(['<', '>']).to_owned();
            let text = raw.replace("=\r\n", "").replace("=3D", "=");
            Mail { template, to, text }
        });
        mails.collect()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.app.post(path).json(body).send().await
    }

    pub async fn forgot(&self, email: &str) -> Answer {
        self.post("/auth/password/forgot", &json!({"email": email}))
            .await
    }

    pub async fn reset(&self, token: &str, password: &str) -> Answer {
        let body = json!({"token": token, "new_password": password});
        self.post("/auth/password/reset", &body).await
    }

    pub async fn register(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.post("/auth/register", &body).await
    }

    pub async fn is_verified(&self, email: &str) -> bool {
        let sql = "SELECT email_verified_at IS NOT NULL FROM users WHERE email = $1";
        self.app.value(sql, &[&email]).await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
