//! JSON bodies: what is read is one object with fields of ours, each once, and without U+0000.

#![no_main]

use chassis_http::parse_json;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    email: String,
    role: Option<String>,
    is_active: Option<bool>,
    limit: Option<u16>,
    nested: Option<Nested>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nested {
    names: Vec<String>,
}

fuzz_target!(|bytes: &[u8]| {
    let body: Body = match parse_json(bytes) {
        Ok(body) => body,
        Err(problem) => {
            let status = problem.kind().status.as_u16();
            assert!(matches!(status, 400 | 422), "{status}");
            assert!(problem.cause_chain().is_none());
            return;
        }
    };
    let names = body.nested.iter().flat_map(|nested| &nested.names);
    let texts = names.chain(&body.role).chain([&body.email]);
    assert!(texts.into_iter().all(|text| !text.contains('\0')));
    let document: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
    assert_eq!(document["email"], body.email);
    assert_eq!(document["limit"].as_u64(), body.limit.map(u64::from));
    assert_eq!(document["is_active"].as_bool(), body.is_active);
});
