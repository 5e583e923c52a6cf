//! Cursors: each place in a list has one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warp_skeleton::shared::Cursor;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
});
