//! The files of a feature, written from templates.

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::{
    fields::{Field, Kind, Need},
    names::{Names, article, camel, capitalised, lower_camel, words},
};

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// From the root of the checkout.
    pub(super) path: String,
    /// Its purpose, in a phrase.
    pub(super) about: &'static str,
    pub(super) text: String,
}

/// The templates of `src/features/NAME`, with the purpose of each file. The paths hold `SINGULAR` and `PLURAL`.
const FEATURE: [(&str, &str, &str); 13] = [
    (
        "mod.rs",
        "what the feature is for, and its public names",
        include_str!("../../templates/feature/mod.rs.j2"),
    ),
    (
        "SINGULAR.rs",
        "its types, what they refuse, and tests",
        include_str!("../../templates/feature/entity.rs.j2"),
    ),
    (
        "error.rs",
        "what can go wrong",
        include_str!("../../templates/feature/error.rs.j2"),
    ),
    (
        "state.rs",
        "what its endpoints share",
        include_str!("../../templates/feature/state.rs.j2"),
    ),
    (
        "tables/mod.rs",
        "the list of its tables",
        include_str!("../../templates/feature/tables/mod.rs.j2"),
    ),
    (
        "tables/PLURAL.rs",
        "its SQL",
        include_str!("../../templates/feature/tables/table.rs.j2"),
    ),
    (
        "endpoints/mod.rs",
        "the list of its endpoints, and problems from errors",
        include_str!("../../templates/feature/endpoints/mod.rs.j2"),
    ),
    (
        "endpoints/SINGULAR_view.rs",
        "JSON out",
        include_str!("../../templates/feature/endpoints/view.rs.j2"),
    ),
    (
        "endpoints/create_SINGULAR.rs",
        "POST: who may, JSON in, what it does",
        include_str!("../../templates/feature/endpoints/create.rs.j2"),
    ),
    (
        "endpoints/list_PLURAL.rs",
        "GET, page by page",
        include_str!("../../templates/feature/endpoints/list.rs.j2"),
    ),
    (
        "endpoints/show_SINGULAR.rs",
        "GET by id",
        include_str!("../../templates/feature/endpoints/show.rs.j2"),
    ),
    (
        "endpoints/change_SINGULAR.rs",
        "PATCH",
        include_str!("../../templates/feature/endpoints/change.rs.j2"),
    ),
    (
        "endpoints/delete_SINGULAR.rs",
        "DELETE",
        include_str!("../../templates/feature/endpoints/delete.rs.j2"),
    ),
];

/// The templates of `tests/api/NAME`.
const TESTS: [(&str, &str, &str); 6] = [
    (
        "mod.rs",
        "what its tests share",
        include_str!("../../templates/tests/mod.rs.j2"),
    ),
    (
        "create_SINGULAR.rs",
        "tests of POST",
        include_str!("../../templates/tests/create.rs.j2"),
    ),
    (
        "list_PLURAL.rs",
        "tests of GET, page by page",
        include_str!("../../templates/tests/list.rs.j2"),
    ),
    (
        "show_SINGULAR.rs",
        "tests of GET by id",
        include_str!("../../templates/tests/show.rs.j2"),
    ),
    (
        "change_SINGULAR.rs",
        "tests of PATCH",
        include_str!("../../templates/tests/change.rs.j2"),
    ),
    (
        "delete_SINGULAR.rs",
        "tests of DELETE",
        include_str!("../../templates/tests/delete.rs.j2"),
    ),
];

const UP: &str = include_str!("../../templates/migration.sql.j2");
const DOWN: &str = include_str!("../../templates/migration.down.sql.j2");
const STEP: &str = include_str!("../../templates/step.js.j2");

/// Writes every file of the feature, in the order in which they are best read. Rust is not formatted yet.
pub(super) fn files(
    names: &Names,
    fields: &[Field],
    library: &str,
    version: u32,
) -> anyhow::Result<Vec<File>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    let values = values(names, fields, library);
    let plural = &names.plural;
    let migration = format!("migrations/V{version:04}__create_{plural}");
    let mut templates = vec![
        (format!("{migration}.sql"), "the table", UP),
        (format!("{migration}.down.sql"), "what undoes it", DOWN),
    ];
    let within = |folder: &str, all: &[(&str, &'static str, &'static str)]| -> Vec<_> {
        all.iter()
            .map(|(file, about, text)| {
                let file = file.replace("SINGULAR", &names.singular);
                let file = file.replace("PLURAL", plural);
                (format!("{folder}/{plural}/{file}"), *about, *text)
            })
            .collect()
    };
    templates.extend(within("src/features", &FEATURE));
    templates.extend(within("tests/api", &TESTS));
    templates.push((
        format!("loadtest/steps/{plural}.js"),
        "a step for k6 scenarios",
        STEP,
    ));
    templates
        .into_iter()
        .map(|(path, about, template)| {
            let text = environment.render_str(template, &values)?;
            Ok(File { path, about, text })
        })
        .collect()
}

/// The values of the templates.
fn values(names: &Names, fields: &[Field], library: &str) -> Value {
    let all: Vec<Value> = fields.iter().map(|field| field.to_value(names)).collect();
    let some = |wanted: &dyn Fn(&Field) -> bool| -> Vec<Value> {
        let found = fields.iter().zip(&all).filter(|(field, _)| wanted(field));
        found.map(|(_, value)| value.clone()).collect()
    };
    let is_parsed = |field: &Field| matches!(field.kind, Kind::Text | Kind::Time);
    let (singular, plural) = (words(&names.singular), words(&names.plural));
    let a = article(&singular);
    let columns: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let sample: Vec<String> = fields
        .iter()
        .map(|field| format!("{}: {}", field.name, field.json(true)))
        .collect();
    context! {
        library,
        path => names.path(),
        plural => names.plural,
        singular => names.singular,
        Plural => camel(&names.plural),
        Singular => camel(&names.singular),
        plural_js => lower_camel(&names.plural),
        plural_words => plural,
        Plural_words => capitalised(&plural),
        singular_words => singular,
        a_ => a,
        a_singular => format!("{a} {singular}"),
        A_singular => format!("{} {singular}", capitalised(a)),
        texts => some(&|field| field.kind == Kind::Text),
        ints => some(&|field| field.kind == Kind::Int),
        bools => some(&|field| field.kind == Kind::Bool),
        times => some(&|field| field.kind == Kind::Time),
        optional => some(&|field| field.need == Need::Optional),
        required => some(&|field| field.need != Need::Optional),
        demanded => some(&|field| field.need == Need::Required),
        demanded_times => some(&|field| field.need == Need::Required && field.kind == Kind::Time),
        not_demanded => some(&|field| field.need != Need::Required),
        parsed => some(&is_parsed),
        parsed_required => some(&|field| is_parsed(field) && field.need == Need::Required),
        fields => all,
        sql_insert => insert(&names.plural, &columns),
        sql_select => select(&columns),
        sql_set => set(&columns),
        sample_js => in_lines(&sample),
    }
}

const WIDTH: usize = 100;

fn insert(table: &str, columns: &[&str]) -> String {
    let start = format!("INSERT INTO {table} (");
    let columns = with_own(columns);
    let places: Vec<String> = (1..=columns.len())
        .map(|number| format!("${number}"))
        .collect();
    format!(
        "{})\nVALUES ({})",
        wrapped(&start, &columns),
        places.join(", ")
    )
}

fn select(columns: &[&str]) -> String {
    wrapped("SELECT ", &with_own(columns))
}

fn set(columns: &[&str]) -> String {
    let all = columns.iter().chain([&"updated_at"]);
    let pairs: Vec<String> = all
        .zip(3..)
        .map(|(column, number)| format!("{column} = ${number}"))
        .collect();
    wrapped("SET ", &pairs)
}

/// The columns with those that every table has.
fn with_own(columns: &[&str]) -> Vec<String> {
    let all = ["id", "user_id"]
        .iter()
        .chain(columns)
        .chain(&["created_at", "updated_at"]);
    all.map(|&column| column.to_owned()).collect()
}

/// The list behind this start, in lines that are not too long and begin below its first item.
fn wrapped(start: &str, items: &[String]) -> String {
    let mut text = start.to_owned();
    let mut width = start.len();
    for (index, item) in items.iter().enumerate() {
        let last = index + 1 == items.len();
        if index > 0 && width + 1 + item.len() + 1 > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(start.len()));
            width = start.len();
        } else if index > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(item);
        width += item.len();
        if !last {
            text.push(',');
            width += 1;
        }
    }
    text
}

/// The fields of an object of JavaScript: on one line when they fit.
fn in_lines(fields: &[String]) -> String {
    let line = format!("{{ {} }}", fields.join(", "));
    if line.len() <= 60 {
        return line;
    }
    format!("{{\n    {},\n  }}", fields.join(",\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_wrapped_below_their_first_item() {
        let columns: Vec<String> = (10..30).map(|number| format!("column_{number}")).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();

        let text = select(&columns);

        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        let behind: Vec<_> = text.lines().skip(1).collect();
        assert!(
            behind.len() == 2 && behind.iter().all(|line| line.starts_with("       c")),
            "{text}"
        );
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            joined,
            format!(
                "SELECT id, user_id, {}, created_at, updated_at",
                columns.join(", ")
            )
        );
    }

    #[test]
    fn a_short_statement_stays_on_its_lines() {
        assert_eq!(
            insert("notes", &["title"]),
            "INSERT INTO notes (id, user_id, title, created_at, updated_at)\nVALUES ($1, $2, $3, $4, $5)"
        );
        assert_eq!(set(&["title"]), "SET title = $3, updated_at = $4");
    }

    #[test]
    fn every_template_is_filled_in() {
        let names = Names::parse("order_lines", None).unwrap();
        let texts = ["label:text!", "count:int?", "paid:bool", "due_at:time!"].map(str::to_owned);
        let fields = super::super::fields::parse_all(&texts).unwrap();

        let files = files(&names, &fields, "acme_orders", 12).unwrap();

        assert_eq!(files[0].path, "migrations/V0012__create_order_lines.sql");
        for file in &files {
            assert!(
                !file.text.contains("{{") && !file.text.contains("{%"),
                "{}",
                file.path
            );
            assert!(!file.text.contains("warp_skeleton"), "{}", file.path);
            assert!(
                file.text.ends_with('\n') && !file.text.ends_with("\n\n"),
                "{}",
                file.path
            );
        }
    }
}
