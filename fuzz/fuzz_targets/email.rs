//! E-mail addresses: each has one spelling, and that one is harmless.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warp_skeleton::features::identity::Email;

fuzz_target!(|text: &str| {
    let Ok(email) = Email::parse(text) else {
        return;
    };
    let kept = email.as_str();
    assert_eq!(kept, text.to_ascii_lowercase());
    assert!((3..=254).contains(&kept.len()));
    assert!(
        kept.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&byte))
    );
    assert_eq!(kept.matches('@').count(), 1);
    assert_eq!(Email::parse(kept).as_ref(), Ok(&email));
    assert_eq!(
        Email::parse(&kept.to_ascii_uppercase()).as_ref(),
        Ok(&email)
    );
});
