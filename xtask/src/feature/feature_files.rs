//! The files of a feature, written from templates.

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::{
    fields::{Field, Kind, Need},
    names::{Names, article, camel, capitalised, lower_camel, words},
};

/// A file that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// From the root of the checkout.
    pub(super) path: String,
    /// What it is for, in a phrase.
    pub(super) about: &'static str,
    pub(super) text: String,
}

/// The templates of `src/features/NAME`, with what each file is for.
const ROOM: [(&str, &str, &str); 8] = [
    (
        "mod.rs",
        "what the room is for and what it lends out",
        include_str!("../../templates/feature/mod.rs.j2"),
    ),
    (
        "domain.rs",
        "its types, what they refuse, and tests",
        include_str!("../../templates/feature/domain.rs.j2"),
    ),
    (
        "repository.rs",
        "its statements",
        include_str!("../../templates/feature/repository.rs.j2"),
    ),
    (
        "service.rs",
        "its rules",
        include_str!("../../templates/feature/service.rs.j2"),
    ),
    (
        "error.rs",
        "what can go wrong",
        include_str!("../../templates/feature/error.rs.j2"),
    ),
    (
        "payloads.rs",
        "JSON in and out",
        include_str!("../../templates/feature/payloads.rs.j2"),
    ),
    (
        "handlers.rs",
        "from requests to the service and back",
        include_str!("../../templates/feature/handlers.rs.j2"),
    ),
    (
        "routes.rs",
        "its endpoints, and who may call them",
        include_str!("../../templates/feature/routes.rs.j2"),
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
        "create.rs",
        "tests of POST",
        include_str!("../../templates/tests/create.rs.j2"),
    ),
    (
        "list.rs",
        "tests of GET, page by page",
        include_str!("../../templates/tests/list.rs.j2"),
    ),
    (
        "read.rs",
        "tests of GET by id",
        include_str!("../../templates/tests/read.rs.j2"),
    ),
    (
        "change.rs",
        "tests of PATCH",
        include_str!("../../templates/tests/change.rs.j2"),
    ),
    (
        "delete.rs",
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
            .map(|(file, about, text)| (format!("{folder}/{plural}/{file}"), *about, *text))
            .collect()
    };
    templates.extend(within("src/features", &ROOM));
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

/// What the templates know.
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
        let fields = super::super::fields::parse_all(&texts, &names).unwrap();

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
