//! No link between the pages is dead, and none to a runbook.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::{ROOT, files, pages, quoted, read, without_blocks};

/// The anchors that a code host gives the headings of a page, by GitHub's rules.
fn anchors(page: &str) -> Vec<String> {
    let (prose, _) = without_blocks(page);
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = Vec::new();
    for line in prose.lines() {
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        if !(1..=6).contains(&level) || !text.starts_with(' ') {
            continue;
        }
        let slug = slug_of(&link_texts(text.trim()));
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(match *count {
            0 => slug,
            more => format!("{slug}-{more}"),
        });
        *count += 1;
    }
    anchors
}

/// Lower case, with dashes for blanks, and nothing else but letters, digits, dashes and underscores.
fn slug_of(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect::<String>().to_lowercase()
}

/// `[text](target)` as the text that is read.
fn link_texts(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, after)) = link.split_once("](") else {
            break;
        };
        out.push_str(before);
        out.push_str(label);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    out + rest
}

/// Where the links of a page lead, code left out.
fn targets(page: &str) -> Vec<String> {
    let (prose, _) = without_blocks(page);
    let mut text = prose;
    for code in quoted(&text.clone()).filter(|code| !code.is_empty()) {
        text = text.replace(&format!("`{code}`"), "");
    }
    let inline = text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        // A title may stand behind the address.
        target.split_whitespace().next().map(str::to_owned)
    });
    let defined = text.lines().filter_map(|line| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!label.contains('[')).then(|| target.trim().to_owned())
    });
    inline.chain(defined).collect()
}

/// The path without `.` and `..`; `None` when it leaves the project.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}

/// Why a link of a page is dead, if it is.
fn fault(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.starts_with("http://")
        || target.starts_with("https://")
        || target.starts_with("mailto:")
    {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let (text, path) = if path.is_empty() {
        (text.to_owned(), page.to_owned())
    } else {
        let path = page.parent()?.join(path);
        let Some(path) = normal(&path).filter(|path| Path::new(ROOT).join(path).exists()) else {
            return Some("there is no such file".to_owned());
        };
        if anchor.is_empty() {
            return None;
        }
        (read(&path), path)
    };
    if path.extension().is_none_or(|ending| ending != "md") {
        return Some("only pages have anchors that can be checked".to_owned());
    }
    let known = anchors(&text);
    (!known.iter().any(|name| name == anchor))
        .then(|| format!("the page has these headings: {known:?}"))
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut looked_at = 0;
    let mut dead = Vec::new();
    for (page, text) in pages() {
        for target in targets(&text) {
            looked_at += 1;
            if let Some(why) = fault(&page, &text, &target) {
                dead.push(format!("{}: ({target}): {why}", page.display()));
            }
        }
    }

    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
    assert!(looked_at > 25, "the pages were not read");
}

#[test]
fn anchors_are_made_as_code_hosts_make_them() {
    let page = "# With *Nix*\n\n## `make dev`: what it does\n```\n# no heading\n```\n## A\n## A\n### [B c](x)\n";

    let expected = ["with-nix", "make-dev-what-it-does", "a", "a-1", "b-c"];
    assert_eq!(anchors(page), expected);
}

#[test]
fn every_runbook_that_an_alert_or_a_dashboard_names_is_there() {
    let mut named = 0;
    let texts = [".yml", ".json", ".py"].map(|ending| files("ops", ending));
    for file in texts.into_iter().flatten() {
        let text = read(&file);
        for rest in text.split("docs/runbooks/").skip(1) {
            let end = rest.find(|letter: char| !letter.is_alphanumeric());
            let Some((name, rest)) = end.map(|end| rest.split_at(end)) else {
                continue;
            };
            if rest.starts_with(".md") {
                named += 1;
                let runbook = format!("docs/runbooks/{name}.md");
                let there = Path::new(ROOT).join(&runbook).exists();
                assert!(there, "{} names {runbook}", file.display());
            }
        }
    }
    assert!(named > 5, "the rules were not read");
}
