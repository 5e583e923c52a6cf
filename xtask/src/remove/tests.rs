use super::*;

/// A small project: `stamps` uses `parcels`, which uses the database.
fn texts() -> BTreeMap<PathBuf, String> {
    [
        ("Cargo.toml", "[package]\nname = \"own\"\n\n[package.metadata.skeleton]\norigin = \"old 1\"\n\n[lib]\n"),
        ("README.md", "| a |\n| `parcels` |\n| b |\n\nWe have parcels,\nstamps and more.\n"),
        ("docs/reference/features.md", ""),
        ("docs/sending.md", "How to send.\n"),
        ("migrations/V0001__create_users.sql", "CREATE TABLE users ();\n"),
        ("migrations/V0001__create_users.down.sql", "DROP TABLE users;\n"),
        ("migrations/V0002__create_parcels.sql", "-- Why.\nCREATE TABLE parcels ();\n"),
        ("migrations/V0002__create_parcels.down.sql", "DROP TABLE parcels;\n"),
        ("migrations/V0004__weigh_parcels.sql", "ALTER TABLE parcels ADD weight int;\n"),
        ("migrations/V0004__weigh_parcels.down.sql", "ALTER TABLE parcels DROP weight;\n"),
        ("src/app.rs", "a\n// parcels: begin\nparcels::start();\n// parcels: end\nb\n"),
        ("src/features/identity/feature.toml", "summary = \"who\"\nstays = \"all ask it\"\n"),
        ("src/features/mod.rs", "pub mod identity;\npub mod parcels;\npub mod stamps;\npub mod words;\n"),
        ("src/features/parcels/feature.toml", PARCELS),
        ("src/features/parcels/mod.rs", "mod parcel;\n"),
        ("src/features/stamps/feature.toml", "summary = \"to stick\"\nneeds = [\"parcels\"]\n[lines]\n"),
        ("src/features/stamps/mod.rs", "use super::parcels::Parcel;\n"),
        ("src/features/words/mod.rs", "// parcels::x\n"),
        ("src/grants.rs", "    TableGrant::new(\"users\", &[]),\n    TableGrant::new(\"parcels\", &[]),\n"),
        ("tests/api/main.rs", "mod identity;\nmod parcels;\n"),
        ("tests/api/parcels/mod.rs", "use own::features::parcels::Parcel;\n"),
    ]
    .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
    .into()
}

const PARCELS: &str = r#"
summary = "to send"
migrations = ["create_parcels", "weigh_parcels"]
tables = ["parcels"]
files = ["docs/sending.md"]

[lines]
"README.md" = ["| `parcels` |"]

[[replace]]
file = "README.md"
text = "parcels, stamps and"
with = "stamps and"
"#;

fn planned(
    texts: &BTreeMap<PathBuf, String>,
    names: &[&str],
    tables: Tables,
) -> anyhow::Result<Plan> {
    let files: Vec<PathBuf> = texts.keys().cloned().collect();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    plan(&files, texts, &names, tables)
}

fn refusal(texts: &BTreeMap<PathBuf, String>, names: &[&str]) -> String {
    format!("{:#}", planned(texts, names, Tables::Stay).unwrap_err())
}

/// The project with another text in one file.
fn with(path: &str, text: &str) -> BTreeMap<PathBuf, String> {
    let mut texts = texts();
    texts.insert(PathBuf::from(path), text.to_owned());
    texts
}

/// The project after the plan.
fn after(texts: &BTreeMap<PathBuf, String>, plan: &Plan) -> BTreeMap<PathBuf, String> {
    let mut after = texts.clone();
    after.extend(plan.write.clone());
    after.retain(|path, _| !plan.delete.contains(path));
    after
}

#[test]
fn a_feature_goes_with_all_that_belongs_to_it() {
    let before = texts();

    let plan = planned(&before, &["parcels", "stamps"], Tables::Stay).unwrap();

    assert_eq!(plan.features, ["stamps", "parcels"]);
    assert_eq!(plan.tables, ["parcels"]);
    let after = after(&before, &plan);
    let text = |path: &str| after[Path::new(path)].as_str();
    assert_eq!(text("src/app.rs"), "a\nb\n");
    assert_eq!(
        text("README.md"),
        "| a |\n| b |\n\nWe have stamps and more.\n"
    );
    assert_eq!(
        text("src/features/mod.rs"),
        "pub mod identity;\npub mod words;\n"
    );
    assert_eq!(text("tests/api/main.rs"), "mod identity;\n");
    assert!(
        text("Cargo.toml")
            .contains("origin = \"old 1\"\nwithout = [\"parcels\", \"stamps\"]\n\n[lib]")
    );
    assert!(text("docs/reference/features.md").contains("| `identity` | who | all ask it |"));
    // What databases have applied stays, and what a replica of the last release reads.
    assert!(text("migrations/V0002__create_parcels.sql").contains("CREATE"));
    assert!(text("src/grants.rs").contains("parcels"));
    let gone: Vec<_> = plan
        .delete
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        gone,
        [
            "docs/sending.md",
            "src/features/parcels/feature.toml",
            "src/features/parcels/mod.rs",
            "src/features/stamps/feature.toml",
            "src/features/stamps/mod.rs",
            "tests/api/parcels/mod.rs",
        ]
    );
}

#[test]
fn what_was_never_made_goes_with_its_migrations() {
    let before = texts();

    let plan = planned(&before, &["parcels", "stamps"], Tables::WereNeverMade).unwrap();

    let after = after(&before, &plan);
    let migrations = after.keys().filter(|path| path.starts_with("migrations"));
    assert_eq!(migrations.count(), 2);
    assert_eq!(
        after[Path::new("src/grants.rs")],
        "    TableGrant::new(\"users\", &[]),\n"
    );
    assert!(!after.contains_key(Path::new("src/features/removed.toml")));
}

#[test]
fn what_was_left_is_dropped_by_the_newest_migration() {
    let before = texts();
    let names = ["parcels".to_owned()];
    let early = migrations::drop(&before, &names).unwrap_err().to_string();
    assert!(early.contains("make remove FEATURE=parcels"), "{early}");
    let plan = planned(&before, &["parcels", "stamps"], Tables::Stay).unwrap();
    let removed = after(&before, &plan);

    let (new, gone) = migrations::drop(&removed, &names).unwrap();

    let text = |path: &str| new[Path::new(path)].as_str();
    let step = text("migrations/V0005__drop_parcels.sql");
    assert!(
        step.ends_with(".\n\nALTER TABLE parcels DROP weight;\n\nDROP TABLE parcels;\n"),
        "{step}"
    );
    let undo = text("migrations/V0005__drop_parcels.down.sql");
    assert!(
        undo.ends_with(
            ".\n\n-- Why.\nCREATE TABLE parcels ();\n\nALTER TABLE parcels ADD weight int;\n"
        ),
        "{undo}"
    );
    assert_eq!(
        text("src/grants.rs"),
        "    TableGrant::new(\"users\", &[]),\n"
    );
    assert_eq!(
        gone.as_deref(),
        Some(Path::new("src/features/removed.toml"))
    );
    assert_eq!(new.len(), 3);
}

#[test]
fn tables_that_others_may_refer_to_are_dropped_after_those() {
    let stamps = "summary = \"x\"\nneeds = [\"parcels\"]\nmigrations = [\"create_users\"]\ntables = [\"users\"]\n";
    let before = with("src/features/stamps/feature.toml", stamps);
    let plan = planned(&before, &["parcels", "stamps"], Tables::Stay).unwrap();
    let removed = after(&before, &plan);

    let refused = migrations::drop(&removed, &["parcels".to_owned()]).unwrap_err();
    assert!(
        refused.to_string().contains("drop stamps first"),
        "{refused}"
    );
    let both = ["parcels".to_owned(), "stamps".to_owned()];
    let (new, _) = migrations::drop(&removed, &both).unwrap();
    assert!(new.contains_key(Path::new("migrations/V0005__drop_stamps.sql")));
    assert!(new.contains_key(Path::new("migrations/V0006__drop_parcels.sql")));
}

#[test]
fn what_cannot_go_is_refused_with_the_reason() {
    let texts = texts();

    for (name, reason) in [
        ("identity", "identity cannot be removed: all ask it"),
        (
            "parcels",
            "stamps needs parcels, and nothing was changed. Remove them together: make remove FEATURE=\"stamps parcels\"",
        ),
        (
            "nothing",
            "there is no feature nothing; those that can be removed are: parcels, stamps",
        ),
        ("../x", "there is no feature ../x"),
    ] {
        let refusal = refusal(&texts, &[name]);
        assert!(refusal.contains(reason), "{name}: {refusal}");
    }
}

#[test]
fn a_feature_without_a_manifest_goes_by_the_conventions() {
    let mut before = with("tests/api/words/mod.rs", "");
    let app = "pub struct App {\n    /// Words.\n    pub words: words::Words,\n}\n";
    before.insert(PathBuf::from("src/app.rs"), app.to_owned());
    let list = before.get_mut(Path::new("tests/api/main.rs")).unwrap();
    list.push_str("mod words;\n");
    let step = "CREATE TABLE words (id uuid);\n";
    before.insert(
        PathBuf::from("migrations/V0009__create_words.sql"),
        step.to_owned(),
    );
    let undo = PathBuf::from("migrations/V0009__create_words.down.sql");
    before.insert(undo, "DROP TABLE words;\n".to_owned());

    let plan = planned(&before, &["words"], Tables::Stay).unwrap();

    let after = after(&before, &plan);
    assert_eq!(after[Path::new("src/app.rs")], "pub struct App {\n}\n");
    assert!(
        !after
            .keys()
            .any(|path| path.starts_with("src/features/words")
                || path.starts_with("tests/api/words"))
    );
    let note = &after[Path::new("src/features/removed.toml")];
    assert!(
        note.contains("[words]\nmigrations = [\"create_words\"]"),
        "{note}"
    );
    // It did not come with the skeleton.
    assert_eq!(
        after[Path::new("Cargo.toml")],
        before[Path::new("Cargo.toml")]
    );
}

#[test]
fn a_half_removed_feature_is_refused_and_each_place_named() {
    let both = ["parcels", "stamps"];
    for (path, text, place) in [
        (
            "src/app.rs",
            "// parcels: begin\n",
            "src/app.rs: line 1: `parcels: begin`, and no",
        ),
        (
            "docs/x.md",
            "<!-- stamps: end -->\n",
            "docs/x.md: line 1: `stamps: end`, and no region",
        ),
        (
            "README.md",
            "We have parcels, stamps and more.\n",
            "README.md: no line begins with `| `parcels` |`",
        ),
        (
            "README.md",
            "| `parcels` |\n",
            "README.md: it does not say `parcels, stamps and`",
        ),
        (
            "src/features/mod.rs",
            "pub mod parcels;\n",
            "src/features/mod.rs: no line begins with `pub mod stamps;`",
        ),
        (
            "tests/api/main.rs",
            "mod identity;\n",
            "tests/api/main.rs: no line begins with `mod parcels;`",
        ),
        (
            "src/features/words/mod.rs",
            "\nuse super::parcels::Parcel;\n",
            "src/features/words/mod.rs: line 2 uses parcels",
        ),
        (
            "src/features/parcels/feature.toml",
            "summary = \"x\"\nfiles = [\"docs/none.md\"]\n",
            "docs/none.md: it is not there",
        ),
        (
            "src/features/parcels/feature.toml",
            "summary = \"x\"\nmigrations = [\"none\"]\n",
            "V…__none.sql is there 0 times",
        ),
        (
            "src/features/parcels/feature.toml",
            "summary = \"x\"\nfile = 1\n",
            "parcels/feature.toml is no manifest",
        ),
        (
            "src/features/stamps/feature.toml",
            "summary = \"x\"\nneeds = [\"ink\"]\n",
            "needs ink, which is no removable feature",
        ),
    ] {
        let refusal = refusal(&with(path, text), &both);
        assert!(refusal.contains(place), "{path}: {refusal}");
    }
    let mut gone = texts();
    gone.retain(|path, _| {
        !path.starts_with("src/features/parcels") && !path.starts_with("src/features/stamps")
    });
    let refusal = refusal(&gone, &["parcels"]);
    assert!(
        refusal.contains("parcels is half removed") && refusal.contains("src/app.rs"),
        "{refusal}"
    );
}

/// What is listed is there, in this very project: whoever changes a line that a manifest names changes it there, too.
#[test]
fn every_removable_feature_of_this_project_can_go() {
    let project = project().unwrap();
    let manifests = manifest::read_all(&project.texts).unwrap();
    let removable = || {
        manifests
            .iter()
            .filter(|(_, manifest)| manifest.stays.is_none())
    };

    for (name, _) in removable() {
        // With those that use it, and those that use these.
        let mut names = vec![name.clone()];
        while let Some((user, _)) = removable().find(|(user, manifest)| {
            !names.contains(user) && manifest.needs.iter().any(|needed| names.contains(needed))
        }) {
            names.push(user.clone());
        }
        for tables in [Tables::Stay, Tables::WereNeverMade] {
            let plan = plan(&project.files, &project.texts, &names, tables).unwrap();
            assert!(plan.delete.len() > 3, "{name}");
        }
    }
}
