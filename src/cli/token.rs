//! `token`: a session for a development user.

use std::process::ExitCode;

use chassis_settings::AppEnv;
use time::format_description::well_known::Rfc3339;

use crate::{
    features::identity::{Email, Error, Password, Role, UserChange},
    settings::Settings,
};

#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// Whose session
    #[arg(long, default_value = "dev@example.com", value_parser = Email::parse)]
    email: Email,
    /// The role the user gets
    #[arg(long, default_value = "MEMBER")]
    role: Role,
    /// How long the session lasts
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..))]
    hours: i64,
    /// Print the token alone
    #[arg(long)]
    quiet: bool,
}

impl Token {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            settings.app_env != AppEnv::Production,
            "`token` makes users and sessions without a password, so it is refused in production"
        );
        settings.auth.check_secret(settings.app_env)?;
        let longest = settings.auth.session_lifetime.as_secs() / 3600;
        anyhow::ensure!(
            u64::try_from(self.hours).is_ok_and(|hours| hours <= longest),
            "a session lasts at most {longest} hours (SESSION_MAX_DAYS)"
        );
        let app = super::connected(settings).await?;
        let existing = match app.auth.find_by_email(&self.email).await {
            Err(Error::NotFound) => {
                let password = nobodys_password(&self.email, app.auth.policy());
                app.auth
                    .create_user(self.email.clone(), password, self.role)
                    .await?
            }
            other => other?,
        };
        let change = UserChange {
            role: Some(self.role),
            is_active: Some(true),
        };
        let user = app.auth.change_user(existing.id, change).await?;
        let length = time::Duration::hours(self.hours);
        let (session, token) = app.auth.open_for_operator(&user, length).await?;
        if self.quiet {
            say!("{}", token.text);
            return Ok(ExitCode::SUCCESS);
        }
        say!("e-mail:  {}", user.email.as_str());
        say!("role:    {}", user.role);
        say!("user id: {}", user.id);
        say!("expires: {}", session.expires_at.format(&Rfc3339)?);
        say!("token:   {}", token.text);
        say!();
        let address = super::healthcheck::url(&settings.server.listen);
        say!(
            "curl -H 'Authorization: Bearer {}' {address}/auth/me",
            token.text
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// A password that is forgotten at once: the user signs in by this command, or gets one by `user set-password`.
fn nobodys_password(email: &Email, policy: &crate::features::identity::PasswordPolicy) -> Password {
    let random = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    Password::parse(&random.into(), email, policy).expect("72 random characters meet any policy")
}
