//! Whether the names of a feature mean something else already, where its files would use them.
//!
//! Nothing here is a list of names that are known to be in use: what is in use is read from the templates and from
//! the code of the checkout, before anything is written.
//!
//! - In the feature's own files, `generated`: the templates are filled in twice, with the names and with placeholders
//!   that occur nowhere else, and the identifiers of both are compared in order. Where two different identifiers of the
//!   placeholder version have become the same one, one hides the other. That is how a field `code` of `statuses` is
//!   found, whose type would be called `StatusCode` beside the one of `http`.
//! - In the rest of the service, `service`: the fields and imports of `src/app.rs`, the paths and tags of the
//!   endpoints, and the names of the schemas in the OpenAPI document.
//!
//! Both refuse a little more than the compiler would, for example a local variable called like a function that the same
//! function calls.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree, visit::Visit};

use super::{
    checkout::Checkout,
    feature_files::{self, File},
    fields::Field,
    names::{Names, words},
};

/// Begins every placeholder.
const PLACEHOLDER: &str = "qq";

/// Refuses names that mean two things in one of the files that the templates make.
pub(super) fn generated(
    names: &Names,
    fields: &[Field],
    files: &[File],
    library: &str,
    version: u32,
) -> anyhow::Result<()> {
    let placeholders = Names {
        plural: format!("{PLACEHOLDER}many"),
        singular: format!("{PLACEHOLDER}one"),
    };
    let renamed: Vec<Field> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| Field {
            name: format!("{PLACEHOLDER}field{index}"),
            ..field.clone()
        })
        .collect();
    let neutral = feature_files::files(&placeholders, &renamed, library, version)?;
    for (file, neutral) in files.iter().zip(&neutral) {
        let groups = |text: &str| match file.path.rsplit_once('.') {
            Some((_, "rs")) => groups_of_rust(text),
            Some((_, "js")) => Ok(vec![words_of_javascript(text)]),
            _ => Ok(Vec::new()),
        };
        let found = groups(&file.text).with_context(|| file.path.clone())?;
        let expected = groups(&neutral.text).with_context(|| file.path.clone())?;
        for (found, expected) in found.iter().zip(&expected) {
            if let Some((name, placeholder)) = first_of_two_meanings(found, expected) {
                let owner = owner_of(&placeholder, names, fields);
                bail!(
                    "{owner} would make `{name}` mean two things in {}; choose another name",
                    file.path
                );
            }
        }
    }
    Ok(())
}

/// The first identifier that stands for two placeholders, or for a placeholder and for itself.
fn first_of_two_meanings(found: &[String], expected: &[String]) -> Option<(String, String)> {
    let mut meanings: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, placeholder) in found.iter().zip(expected) {
        let known = *meanings.entry(name).or_insert(placeholder);
        if known != placeholder {
            let is_made = |text: &str| text.to_lowercase().contains(PLACEHOLDER);
            let made = if is_made(placeholder) {
                placeholder
            } else {
                known
            };
            return Some((name.clone(), made.to_owned()));
        }
    }
    None
}

/// What the placeholder stands for, as a message names it.
fn owner_of(placeholder: &str, names: &Names, fields: &[Field]) -> String {
    let placeholder = placeholder.to_lowercase();
    let index = placeholder.split_once("field").and_then(|(_, rest)| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse::<usize>().ok()
    });
    match index.and_then(|index| fields.get(index)) {
        Some(field) => format!("the field {} of {}", field.name, names.plural),
        None => format!("the feature {} of one {}", names.plural, names.singular),
    }
}

/// The identifiers of a file in groups, within each of which a name has one meaning: first the imports and the items,
/// then each item's inside.
fn groups_of_rust(text: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let mut outside = Vec::new();
    let mut groups = Vec::new();
    for item in syn::parse_file(text)?.items {
        if let Item::Use(_) = item {
            collect(item.to_token_stream(), &mut outside);
            continue;
        }
        outside.extend(name_of(&item).map(Ident::to_string));
        let mut inside = Vec::new();
        collect(item.to_token_stream(), &mut inside);
        groups.push(inside);
    }
    groups.insert(0, outside);
    Ok(groups)
}

/// Collects identifiers, except the methods and fields behind a dot: those are names within their type.
fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut before = ('\0', '\0');
    for token in tokens {
        let mut last = '\0';
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Punct(punct) => last = punct.as_char(),
            TokenTree::Ident(ident) => {
                let is_member = before.1 == '.' && before.0 != '.';
                if !is_member {
                    found.push(ident.to_string());
                }
            }
            TokenTree::Literal(_) => {}
        }
        before = (before.1, last);
    }
}

/// The words of the code, without comments, texts, labels and what is behind a dot.
fn words_of_javascript(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let mut is_text = false;
        for part in code.split(['"', '`']) {
            if !is_text {
                let mut before = ' ';
                for word in part.split_inclusive(|letter: char| !is_of_word(letter)) {
                    let name = word.trim_end_matches(|letter: char| !is_of_word(letter));
                    let is_label = word.ends_with(':');
                    if !name.is_empty() && before != '.' && !is_label {
                        found.push(name.to_owned());
                    }
                    before = word.chars().last().unwrap_or(' ');
                }
            }
            is_text = !is_text;
        }
    }
    found
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '$'
}

/// Refuses names that the service uses already where the feature is wired in or documented.
pub(super) fn service(checkout: &Checkout, names: &Names, files: &[File]) -> anyhow::Result<()> {
    let (plural, path) = (&names.plural, names.path());
    let app = checkout.read("src/app.rs")?;
    if let Some(what) = taken_in_app(&app, plural)? {
        bail!("{plural} is {what} of src/app.rs already; choose another name");
    }
    let mut definitions = definitions_in(checkout, "src")?;
    // The chassis defines schemas, and no endpoint.
    let chassis = definitions_in(checkout, "crates")?;
    definitions.schemas.extend(chassis.schemas);
    let below = format!("{path}/");
    let taken = definitions
        .paths
        .iter()
        .find(|found| **found == path || found.starts_with(&below));
    if let Some(taken) = taken {
        bail!("the path {taken} is in use already; choose another name than {plural}");
    }
    ensure!(
        !definitions.tags.contains(&words(plural)),
        "the OpenAPI document has a tag {} already; choose another name than {plural}",
        words(plural)
    );
    let mut own = Definitions::default();
    for file in files {
        if file.path.starts_with("src/") {
            own.visit_file(&syn::parse_file(&file.text)?);
        }
    }
    let (taken, own) = (definitions.with_pages(), own.with_pages());
    if let Some(schema) = own.intersection(&taken).next() {
        bail!(
            "the OpenAPI document has a schema {schema} already, which one of {plural} would use as well; choose \
             another name, or another one of them with --singular (SINGULAR=…)"
        );
    }
    Ok(())
}

fn definitions_in(checkout: &Checkout, folder: &str) -> anyhow::Result<Definitions> {
    let mut definitions = Definitions::default();
    for file in checkout.rust_files(folder)? {
        let text = checkout.read(&file)?;
        let parsed = syn::parse_file(&text).with_context(|| format!("{file} is not Rust"))?;
        definitions.visit_file(&parsed);
    }
    Ok(definitions)
}

/// What this name is in the composition root, if it is anything that the wiring would meet.
fn taken_in_app(app: &str, name: &str) -> anyhow::Result<Option<&'static str>> {
    let file = syn::parse_file(app).context("src/app.rs is not Rust")?;
    for item in &file.items {
        match item {
            Item::Use(item) if binds(&item.tree, None, name) => return Ok(Some("an import")),
            Item::Struct(item) if item.ident == "App" => {
                let mut fields = item.fields.iter().filter_map(|field| field.ident.as_ref());
                if fields.any(|field| field == name) {
                    return Ok(Some("a field"));
                }
            }
            _ => {}
        }
        if name_of(item).is_some_and(|found| found == name) {
            return Ok(Some("an item"));
        }
    }
    Ok(None)
}

/// Whether the import brings this name into scope, or begins with a crate of this name.
fn binds(tree: &UseTree, above: Option<&Ident>, name: &str) -> bool {
    match tree {
        UseTree::Path(path) => {
            (above.is_none() && path.ident == name) || binds(&path.tree, Some(&path.ident), name)
        }
        UseTree::Name(leaf) if leaf.ident == "self" => above.is_some_and(|above| above == name),
        UseTree::Name(leaf) => leaf.ident == name,
        UseTree::Rename(leaf) => leaf.rename == name,
        UseTree::Glob(_) => false,
        UseTree::Group(group) => group.items.iter().any(|tree| binds(tree, above, name)),
    }
}

fn name_of(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Mod(item) => Some(&item.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}

/// What the code defines in the OpenAPI document and the routes.
#[derive(Default)]
struct Definitions {
    /// Texts that begin with a slash: the path templates, and some more.
    paths: BTreeSet<String>,
    tags: BTreeSet<String>,
    schemas: BTreeSet<String>,
}

impl Definitions {
    /// The names of the schemas, and of the pages that there may be of each.
    fn with_pages(&self) -> BTreeSet<String> {
        let pages = self.schemas.iter().map(|name| format!("{name}Page"));
        self.schemas.iter().cloned().chain(pages).collect()
    }

    fn note_schema(&mut self, name: &Ident, attributes: &[syn::Attribute]) {
        let mut identifiers = Vec::new();
        let mut renamed = None;
        for attribute in attributes {
            let mut found = Vec::new();
            collect(attribute.to_token_stream(), &mut found);
            if attribute.path().is_ident("schema") {
                let place = found.iter().position(|word| word == "as");
                renamed = renamed.or(place.and_then(|place| found.get(place + 1).cloned()));
            }
            if attribute.path().is_ident("derive") {
                identifiers.append(&mut found);
            }
        }
        if identifiers.iter().any(|word| word == "ToSchema") {
            self.schemas
                .insert(renamed.unwrap_or_else(|| name.to_string()));
        }
    }
}

impl<'ast> Visit<'ast> for Definitions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item
            .attrs
            .iter()
            .any(|attribute| attribute.path().is_ident("cfg"));
        if !is_test {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note_schema(&item.ident, &item.attrs);
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note_schema(&item.ident, &item.attrs);
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        let text = text.value();
        if text.starts_with('/') {
            self.paths.insert(text);
        }
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        let is_feature = made
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Feature");
        for field in &made.fields {
            if let (true, syn::Member::Named(name), syn::Expr::Lit(value)) =
                (is_feature, &field.member, &field.expr)
                && name == "name"
                && let syn::Lit::Str(text) = &value.lit
            {
                self.tags.insert(text.value());
            }
        }
        syn::visit::visit_expr_struct(self, made);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::feature::fields;

    fn checkout() -> Checkout {
        Checkout::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn parts(
        plural: &str,
        singular: Option<&str>,
        texts: &[&str],
    ) -> (Names, Vec<Field>, Vec<File>) {
        let names = Names::parse(plural, singular).unwrap();
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        let fields = fields::parse_all(&texts).unwrap();
        let files = feature_files::files(&names, &fields, "library", 9).unwrap();
        (names, fields, files)
    }

    /// Why it cannot be generated, or nothing.
    fn refusal(plural: &str, singular: Option<&str>, texts: &[&str]) -> String {
        let (names, fields, files) = parts(plural, singular, texts);
        let outcome = generated(&names, &fields, &files, "library", 9);
        outcome
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    /// Why it cannot be in this service, or nothing.
    fn refused_by_the_service(plural: &str) -> String {
        let (names, _, files) = parts(plural, None, &["title:text!"]);
        let outcome = service(&checkout(), &names, &files);
        outcome
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn names_that_mean_nothing_else_are_taken() {
        for (plural, singular) in [
            ("notes", None),
            ("events", None),
            ("settings", None),
            ("tasks", None),
            ("posts", None),
            ("order_lines", None),
            ("people", Some("person")),
        ] {
            let texts = [
                "title:text!",
                "body:text?",
                "rank:int!",
                "open:bool",
                "due_at:time?",
            ];
            assert_eq!(refusal(plural, singular, &texts), "", "{plural}");
        }
    }

    #[test]
    fn a_type_that_the_templates_use_is_not_defined_again() {
        for (plural, field, expected) in [
            (
                "statuses",
                "code:text!",
                "the field code of statuses would make `StatusCode`",
            ),
            ("options", "title:text!", "`Option`"),
            ("results", "title:text!", "`Result`"),
            ("strings", "title:text!", "`String`"),
            (
                "notes",
                "view:text!",
                "the field view of notes would make `NoteView`",
            ),
            ("notes", "id:text!", "the field id of notes"),
            ("notes", "user_id:text!", "the field user_id of notes"),
            (
                "notes",
                "created:text!",
                "the field created of notes would make `created`",
            ),
            ("notes", "note:text!", "would make `note`"),
            ("errors", "title:text!", "the feature errors of one error"),
        ] {
            let found = refusal(plural, None, &[field]);
            assert!(found.contains(expected), "{plural} {field}: {found:?}");
        }
    }

    #[test]
    fn what_the_templates_call_a_method_is_free() {
        assert_eq!(refusal("notes", None, &["body:text!", "problem:text?"]), "");
    }

    #[test]
    fn javascript_is_looked_at_too() {
        let found = refusal("bearer", Some("tick"), &["title:text!"]);

        assert!(
            found.contains("`bearer` mean two things in loadtest/steps"),
            "{found:?}"
        );
    }

    #[test]
    fn what_the_service_has_is_read_from_its_code() {
        for (plural, expected) in [
            ("infos", "a schema Info already"),
            ("statuses", "a schema Status already"),
            ("problems", "/problems"),
            ("sessions", "a schema Session already"),
            ("operations", "a field of src/app.rs"),
        ] {
            let found = refused_by_the_service(plural);
            assert!(found.contains(expected), "{plural}: {found:?}");
        }
        for plural in ["notes", "events", "settings", "tasks", "posts"] {
            assert_eq!(refused_by_the_service(plural), "", "{plural}");
        }
    }

    #[test]
    fn what_everything_written_in_rust_can_see_is_not_defined_again() {
        // The prelude, primitive types, macros, and what the files of a feature import.
        for plural in [
            "options",
            "results",
            "strings",
            "vecs",
            "somes",
            "nones",
            "oks",
            "clones",
            "debugs",
            "strs",
            "asserts",
            "formats",
            "tests",
            "responses",
            "requests",
            "rows",
            "errors",
            "roles",
            "auths",
            "callers",
            "principals",
            "uuids",
            "transactions",
            "queries",
            "parameters",
            "pages",
            "problems",
            "endpoints",
            "locks",
            "answers",
            "apps",
            "bodies",
            "values",
        ] {
            let is_refused = Names::parse(plural, None).is_err()
                || !refusal(plural, None, &["kind:text!"]).is_empty();
            assert!(is_refused, "{plural}");
        }
        for field in [
            "request",
            "row",
            "caller",
            "str",
            "serde",
            "json",
            "errors",
            "format",
            "assert_eq",
            "test",
            "location",
            "schema",
            "now",
            "id",
            "user_id",
            "created_at",
            "view",
        ] {
            assert_ne!(
                refusal("zebras", None, &[&format!("{field}:text?")]),
                "",
                "{field}"
            );
        }
    }

    #[test]
    fn names_of_crates_and_modules_that_hide_nothing_are_taken() {
        // Each of these compiled; tests/scripts/feature compiles some of them each time.
        for plural in [
            "bools",
            "chars",
            "clocks",
            "databases",
            "stds",
            "cores",
            "allocs",
            "selves",
            "routes",
            "guards",
            "handlers",
            "serdes",
            "https",
            "warps",
            "times",
            "futures",
            "deletes",
            "executors",
            "iterators",
            "errs",
            "drops",
            "sends",
            "units",
            "posts",
            "publics",
            "panics",
            "i32s",
            "usizes",
            "opts",
            "clusters",
        ] {
            assert_eq!(refusal(plural, None, &["title:text!"]), "", "{plural}");
        }
        for fields in [
            [
                "key:text!",
                "share:int!",
                "code:bool",
                "name:text?",
                "value:time?",
                "kind:int?",
            ],
            [
                "status:bool!",
                "response:time!",
                "query:bool?",
                "string:text!",
                "result:text?",
                "error:int?",
            ],
            [
                "exists:text!",
                "values:int!",
                "between:bool",
                "position:text?",
                "interval:time?",
                "precision:int?",
            ],
        ] {
            assert_eq!(refusal("zebras", None, &fields), "", "{fields:?}");
        }
    }
}
