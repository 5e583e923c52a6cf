//! What the mails of this feature say.

use minijinja::{Value, context};

use crate::features::mail::Template;

/// Every template of this feature.
pub static TEMPLATES: [&Template; 8] = [
    &VERIFY_ADDRESS,
    &RESET_PASSWORD,
    &CONFIRM_ADDRESS,
    &ADDRESS_TAKEN,
    &ALREADY_REGISTERED,
    &PASSWORD_CHANGED,
    &ADDRESS_CHANGED,
    &NEW_SIGN_IN,
];

macro_rules! template {
    ($name:literal, $subject:literal, $sample:expr) => {
        Template {
            name: $name,
            subject: $subject,
            text: include_str!(concat!("templates/", $name, ".txt")),
            html: include_str!(concat!("templates/", $name, ".html")),
            sample: $sample,
        }
    };
}

fn link() -> Value {
    context! {
        address => "member@example.com",
        link => "https://example.com/account#token=AZ_example",
        expires => "Fri, 01 Jan 2027 12:00:00 +0000",
    }
}

fn address() -> Value {
    context! { address => "member@example.com" }
}

pub(super) static VERIFY_ADDRESS: Template = template!(
    "verify_address",
    "Verify your e-mail address for {{ product }}",
    link
);

pub(super) static RESET_PASSWORD: Template = template!(
    "reset_password",
    "Choose a new password for {{ product }}",
    link
);

pub(super) static CONFIRM_ADDRESS: Template = template!(
    "confirm_address",
    "Confirm your new e-mail address for {{ product }}",
    link
);

pub(super) static ADDRESS_TAKEN: Template = template!(
    "address_taken",
    "Your e-mail address at {{ product }}",
    address
);

pub(super) static ALREADY_REGISTERED: Template = template!(
    "already_registered",
    "You have an account at {{ product }}",
    address
);

pub(super) static PASSWORD_CHANGED: Template = template!(
    "password_changed",
    "Your password at {{ product }} was changed",
    || context! { address => "member@example.com", remaining => ["the key nightly report"] }
);

pub(super) static ADDRESS_CHANGED: Template = template!(
    "address_changed",
    "Your e-mail address at {{ product }} was changed",
    || context! { address => "member@example.com", new_address => "other@example.com" }
);

pub(super) static NEW_SIGN_IN: Template =
    template!("new_sign_in", "New sign-in at {{ product }}", || {
        context! {
            address => "member@example.com",
            at => "Fri, 01 Jan 2027 12:00:00 +0000",
            ip => "192.0.2.1",
            client => "Mozilla/5.0 (<example>)",
        }
    });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_link_in_both_parts_or_in_none() {
        for template in TEMPLATES {
            let has_link = |text: &str| text.contains("{{ link }}");
            assert_eq!(
                has_link(template.text),
                has_link(template.html),
                "{}",
                template.name
            );
        }
    }
}
