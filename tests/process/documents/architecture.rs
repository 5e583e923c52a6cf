//! Who uses whom in `src/` is what the tables of `docs/architecture.md` allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{files, quoted, read, table};

const PAGE: &str = "docs/architecture.md";

/// What a feature exports as a whole, instead of a few names through its `mod.rs`.
const LENT: [&str; 2] = ["identity::event", "identity::policy"];

/// One source file and the paths of this crate that it names, from the crate's root on.
struct Source {
    path: String,
    module: Vec<String>,
    uses: BTreeSet<Vec<String>>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = code_of(&read(path));
        let path = path.to_str().unwrap().to_owned();
        let inner = path
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .trim_end_matches("/mod");
        let module: Vec<_> = inner.split('/').map(str::to_owned).collect();
        let uses = named_paths(&text).into_iter();
        let uses = uses.filter_map(|(path, _)| resolve(&module, &path));
        Self {
            uses: uses.collect(),
            module,
            path,
        }
    }

    /// The room it belongs to, and its file there: `service` for `service/mod.rs` and `service/account.rs`.
    fn place_in_room(&self) -> Option<(&str, &str)> {
        let room = self
            .module
            .get(1)
            .filter(|_| self.module[0] == "features")?;
        Some((room, self.module.get(2).map_or("mod", String::as_str)))
    }
}

/// The text without comments and unit tests.
fn code_of(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that a `use` names, with the name it gets, and every `crate::…` and `super::…` elsewhere.
fn named_paths(code: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    let mut open: Option<String> = None;
    for line in code.lines() {
        let start = line.trim_start();
        let begins = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
        let begun = begins.iter().find_map(|word| start.strip_prefix(word));
        match (&mut open, begun) {
            (Some(statement), _) => statement.push_str(start),
            (None, Some(begun)) => open = Some(begun.to_owned()),
            (None, None) => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
        if let Some(statement) = open.take_if(|statement| statement.contains(';')) {
            expand("", statement.split(';').next().unwrap(), &mut paths);
        }
    }
    for root in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(root) {
            // The second word of `super::super::` is not a path of its own.
            if rest[..at].ends_with("::") {
                continue;
            }
            let path = rest[at..]
                .split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
            let path = path.into_iter().next().unwrap().trim_end_matches(':');
            paths.push((path.to_owned(), String::new()));
        }
    }
    paths
}

/// `a::{b, c::{d, e as f}}` as `a::b`, `a::c::d` and `a::c::e`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<(String, String)>) {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let path = format!("{prefix}{path}");
        let name = match name {
            "" => path.rsplit("::").next().unwrap().to_owned(),
            name => name.to_owned(),
        };
        return paths.push((path, name));
    };
    let (inside, _) = inside.rsplit_once('}').unwrap();
    let (mut depth, mut begin) = (0, 0);
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{prefix}{before}"), &inside[begin..at], paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !inside[begin..].trim().is_empty() {
        expand(&format!("{prefix}{before}"), &inside[begin..], paths);
    }
}

/// A path as seen from the crate's root; `None` when it is another crate's.
fn resolve(module: &[String], path: &str) -> Option<Vec<String>> {
    let mut parts: Vec<_> = path
        .split("::")
        .map(|part| part.trim().to_owned())
        .collect();
    let mut base = match parts[0].as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len() - 1].to_vec(),
        _ => return None,
    };
    parts.remove(0);
    while parts.first().is_some_and(|part| part == "super") {
        parts.remove(0);
        base.pop();
    }
    base.extend(parts.into_iter().filter(|part| part != "self"));
    Some(base)
}

fn sources() -> Vec<Source> {
    let files = files("src", ".rs");
    let sources: Vec<_> = files.iter().map(|path| Source::read(path)).collect();
    assert!(sources.len() > 60, "src/ was not read");
    sources
}

fn names(cell: &str) -> BTreeSet<String> {
    quoted(cell).map(str::to_owned).collect()
}

/// What the exceptions of the page allow, and which of them were needed.
struct Exceptions {
    rows: Vec<(String, BTreeSet<String>)>,
    needed: BTreeSet<(String, String)>,
}

impl Exceptions {
    fn of(page: &str) -> Self {
        let rows = table(page, "## Exceptions").into_iter();
        let rows = rows.map(|row| (row[0].trim_matches('`').to_owned(), names(&row[1])));
        Self {
            rows: rows.collect(),
            needed: BTreeSet::new(),
        }
    }

    fn allow(&mut self, file: &str, what: &str) -> bool {
        for (prefix, allowed) in &self.rows {
            if file.starts_with(prefix.as_str()) && allowed.contains(what) {
                self.needed.insert((prefix.clone(), what.to_owned()));
                return true;
            }
        }
        false
    }

    fn not_needed(&self) -> Vec<String> {
        let all = self.rows.iter().flat_map(|(prefix, allowed)| {
            allowed
                .iter()
                .map(move |what| (prefix.clone(), what.clone()))
        });
        all.filter(|pair| !self.needed.contains(pair))
            .map(|(prefix, what)| {
                format!("{PAGE} makes an exception for {prefix} and `{what}` that nothing needs")
            })
            .collect()
    }
}

#[test]
fn parts_and_files_use_only_what_the_page_on_architecture_allows() {
    let page = read(PAGE);
    let mut exceptions = Exceptions::of(&page);
    let parts: BTreeMap<_, _> = table(&page, "## Who may use whom")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), names(&row[2])))
        .collect();
    let furniture: BTreeMap<_, _> = table(&page, "## Inside a room")
        .into_iter()
        .map(|row| {
            (
                row[0].trim_matches('`').to_owned(),
                (names(&row[2]), names(&row[3])),
            )
        })
        .collect();
    let sources = sources();
    let lent_names = lent_names();

    let mut faults = Vec::new();
    for source in &sources {
        let part = source.module[0].as_str();
        if matches!(part, "lib" | "main" | "properties") {
            continue;
        }
        let Some(may) = parts.get(part) else {
            faults.push(format!("{PAGE} has no row for `{part}`"));
            continue;
        };
        let mut refuse = |what: &str, faults: &mut Vec<String>| {
            if !exceptions.allow(&source.path, what) {
                faults.push(format!(
                    "{} uses `{what}`, which {PAGE} does not allow it",
                    source.path
                ));
            }
        };
        for used in &source.uses {
            let other = used.first().map_or(part, String::as_str);
            if other != part && !may.contains(other) {
                refuse(other, &mut faults);
                continue;
            }
            let Some((room, file)) = source.place_in_room().filter(|(_, file)| *file != "mod")
            else {
                continue;
            };
            let row = furniture.get(file).unwrap_or(&furniture["any other"]);
            let in_own_room = other == "features" && used.get(1).is_some_and(|name| name == room);
            if other != "features" {
                if !row.1.contains(other) {
                    refuse(other, &mut faults);
                }
            } else if !in_own_room {
                if !row.1.contains("rooms") {
                    refuse("rooms", &mut faults);
                }
            } else if let Some(name) = used.get(2) {
                let lender = lent_names.get(&(room.to_owned(), name.clone()));
                let used = lender.unwrap_or(name).as_str();
                let kind = if furniture.contains_key(used) {
                    used
                } else {
                    "any other"
                };
                if used != file && !row.0.contains(kind) {
                    refuse(used, &mut faults);
                }
            }
        }
    }
    faults.extend(exceptions.not_needed());
    faults.dedup();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Which file of its room each name comes from that a `mod.rs` lends out.
fn lent_names() -> BTreeMap<(String, String), String> {
    let mut lent = BTreeMap::new();
    for path in files("src/features", "mod.rs") {
        let source = Source::read(&path);
        let Some((room, "mod")) = source.place_in_room() else {
            continue;
        };
        for (path, name) in named_paths(&code_of(&read(&path))) {
            if let Some([_, _, file, ..]) = resolve(&source.module, &path).as_deref() {
                lent.insert((room.to_owned(), name), file.clone());
            }
        }
    }
    assert!(lent.len() > 40, "{lent:?}");
    lent
}

#[test]
fn rooms_know_each_other_in_one_direction() {
    let mut knows = BTreeMap::<String, BTreeSet<String>>::new();
    for source in sources() {
        // Any endpoint may use the guards of `auth`, so routes, handlers and endpoints prove nothing.
        let Some((room, file)) = source.place_in_room() else {
            continue;
        };
        if matches!(file, "routes" | "handlers" | "endpoints") {
            continue;
        }
        for used in &source.uses {
            if let [features, other, ..] = used.as_slice()
                && features == "features"
                && other != room
            {
                knows
                    .entry(room.to_owned())
                    .or_default()
                    .insert(other.clone());
            }
        }
    }

    // Whoever knows nobody but rooms that are gone goes too; a circle remains.
    let mut left = knows.clone();
    loop {
        let open: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, others| others.iter().any(|other| open.contains(other)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these rooms go in a circle: {left:?}");
    assert!(knows["identity"].contains("limits"), "{knows:?}");
}

#[test]
fn a_room_is_entered_through_its_mod_file() {
    let mut whole = Vec::new();
    for path in files("src/features", "mod.rs") {
        let source = Source::read(&path);
        let Some((room, "mod")) = source.place_in_room() else {
            continue;
        };
        let code = code_of(&read(&path));
        for line in code.lines() {
            let lent = line
                .strip_prefix("pub mod ")
                .or_else(|| line.strip_prefix("pub(crate) mod "));
            if let Some(module) = lent {
                whole.push(format!("{room}::{}", module.trim_end_matches(';')));
            }
        }
    }

    // The compiler sees to the private ones.
    let further: Vec<_> = whole
        .iter()
        .filter(|module| !LENT.contains(&module.as_str()))
        .collect();
    assert!(
        further.is_empty(),
        "lend names by `pub use` in mod.rs, not whole modules: {further:?}"
    );
    let page = read(PAGE);
    for module in LENT
        .iter()
        .filter(|lent| whole.iter().any(|module| module == *lent))
    {
        assert!(
            page.contains(&format!("`{module}`")),
            "{PAGE} does not name {module}"
        );
    }
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let code = "use super::{a::B, c};\npub use crate::{d::{self, E as F}, g};\nfn f() -> super::super::h::I { crate::j::k() }\n";
    let module = ["features", "users", "service"].map(str::to_owned);

    let named = named_paths(code).into_iter();
    let found: Vec<_> = named
        .map(|(path, _)| resolve(&module, &path).unwrap().join("::"))
        .collect();

    let expected = [
        "features::users::a::B",
        "features::users::c",
        "d",
        "d::E",
        "g",
        "j::k",
        "features::h::I",
    ];
    assert_eq!(found, expected);
}
