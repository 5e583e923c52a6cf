//! What a feature keeps: `title:text!`, and everything that its files say because of it.

use anyhow::{Context, bail, ensure};
use minijinja::{Value, context};

use super::names::{Names, article, camel, capitalised, check_meaning, check_spelling, words};

/// What a field may be, as messages explain it.
pub(super) const ACCEPTED: &str = "name:text!, name:text?, name:int!, name:int?, name:bool, name:bool!, \
                                   name:bool?, name:time! or name:time? (! is required, ? may be missing, a \
                                   plain bool is false when it is left out)";

/// More would make functions longer than the lints allow.
const MOST: usize = 12;

/// The name of a constraint is made of those of feature and field, and PostgreSQL cuts it at 63 bytes.
const LONGEST: usize = 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
    Time,
}

impl Kind {
    /// What the templates call it.
    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Time => "time",
        }
    }

    /// The Rust type of a value; a text has one of its own, with bounds.
    fn domain(self, text: &str) -> &str {
        match self {
            Self::Text => text,
            Self::Int => "i32",
            Self::Bool => "bool",
            Self::Time => "OffsetDateTime",
        }
    }

    /// The Rust type of what a request has.
    fn wire(self) -> &'static str {
        match self {
            Self::Text | Self::Time => "String",
            Self::Int => "i32",
            Self::Bool => "bool",
        }
    }

    /// What its absence and its null mean.
    fn absence(self) -> (&'static str, &'static str) {
        match self {
            Self::Bool => ("; unknown when absent", "; null makes it unknown"),
            _ => ("; none when absent", "; null removes it"),
        }
    }

    /// The constant of `tokio_postgres::types::Type`.
    fn parameter_type(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Int => "INT4",
            Self::Bool => "BOOL",
            Self::Time => "TIMESTAMPTZ",
        }
    }
}

/// Whether a field has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It has to be sent.
    Required,
    /// It may be missing, and stays so.
    Optional,
    /// It may be left out, and is then false.
    Default,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) need: Need,
}

/// Reads them all; each may be called once.
pub(super) fn parse_all(texts: &[String]) -> anyhow::Result<Vec<Field>> {
    ensure!(
        !texts.is_empty(),
        "a feature needs at least one field: {ACCEPTED}"
    );
    ensure!(
        texts.len() <= MOST,
        "{} fields are too many to begin with: write at most {MOST}, and add the others by hand",
        texts.len()
    );
    let mut fields: Vec<Field> = Vec::new();
    for text in texts {
        let field = Field::parse(text)?;
        let name = &field.name;
        ensure!(
            fields.iter().all(|other| other.name != *name),
            "the field {name} is there twice"
        );
        fields.push(field);
    }
    Ok(fields)
}

impl Field {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, kind) = text
            .split_once(':')
            .with_context(|| format!("{text:?} is no field; write {ACCEPTED}"))?;
        check_spelling("a field", name, LONGEST, "title or due_at")?;
        check_meaning("a field", name)?;
        let (kind, need) = match kind {
            "text!" => (Kind::Text, Need::Required),
            "text?" => (Kind::Text, Need::Optional),
            "int!" => (Kind::Int, Need::Required),
            "int?" => (Kind::Int, Need::Optional),
            "bool" => (Kind::Bool, Need::Default),
            "bool!" => (Kind::Bool, Need::Required),
            "bool?" => (Kind::Bool, Need::Optional),
            "time!" => (Kind::Time, Need::Required),
            "time?" => (Kind::Time, Need::Optional),
            "text" | "int" | "time" => bail!(
                "{name}:{kind} does not say whether it may be missing: write {name}:{kind}! when it is required, \
                 {name}:{kind}? when not"
            ),
            other => bail!("{other:?} is no kind of field; write {ACCEPTED}"),
        };
        let name = name.to_owned();
        Ok(Self { name, kind, need })
    }

    /// The column, as the migration writes it.
    pub(super) fn column(&self) -> String {
        let kind = match self.kind {
            Kind::Text => "text",
            Kind::Int => "integer",
            Kind::Bool => "boolean",
            Kind::Time => "timestamptz",
        };
        let rest = match self.need {
            Need::Required => " NOT NULL",
            Need::Optional => "",
            Need::Default => " NOT NULL DEFAULT false",
        };
        format!("{kind}{rest}")
    }

    /// Reads a column that the migration of a feature wrote.
    pub(super) fn of_column(line: &str) -> Option<Self> {
        let (name, column) = line.trim().trim_end_matches(',').split_once(' ')?;
        let kinds = [Kind::Text, Kind::Int, Kind::Bool, Kind::Time];
        let needs = [Need::Required, Need::Optional, Need::Default];
        let mut all = kinds.into_iter().flat_map(|kind| {
            needs.map(|need| Self {
                name: name.to_owned(),
                kind,
                need,
            })
        });
        all.find(|field| field.column() == column)
    }

    fn is_optional(&self) -> bool {
        self.need == Need::Optional
    }

    /// What it is about, as a clause: "its title", "whether it is pinned", "when it is due".
    fn clause(&self) -> String {
        let noun = words(&self.name);
        match self.kind {
            Kind::Bool => {
                if let Some(rest) = noun.strip_prefix("has ") {
                    return format!("whether it has {} {rest}", article(rest));
                }
                format!(
                    "whether it is {}",
                    noun.strip_prefix("is ").unwrap_or(&noun)
                )
            }
            Kind::Time => match noun.strip_suffix(" at") {
                Some(verb) if verb.ends_with('s') => format!("when it {verb}"),
                Some(state) => format!("when it is {state}"),
                None => format!("its {noun}"),
            },
            Kind::Text | Kind::Int => format!("its {noun}"),
        }
    }

    /// Everything the templates say because of this field.
    pub(super) fn to_value(&self, names: &Names) -> Value {
        let name = &self.name;
        let optional = self.is_optional();
        let text_type = format!("{}{}", camel(&names.singular), camel(name));
        let bare = self.kind.domain(&text_type);
        let (before, after) = if optional { ("Option<", ">") } else { ("", "") };
        let in_option = |inner: &str| format!("{before}{inner}{after}");
        let view = match self.kind {
            Kind::Text => "String",
            _ => bare,
        };
        let parse = match self.kind {
            Kind::Text => format!("{text_type}::parse"),
            Kind::Time => "parse_time".to_owned(),
            Kind::Int | Kind::Bool => String::new(),
        };
        let (none, cleared) = self.kind.absence();
        context! {
            name,
            kind => self.kind.word(),
            optional,
            default => self.need == Need::Default,
            noun => words(name),
            about => self.about(),
            about_change => self.about_change(),
            column => self.column(),
            pg => self.kind.parameter_type(),
            domain => in_option(bare),
            view => in_option(view),
            alias => text_type,
            bare,
            wire => self.kind.wire(),
            parse,
            parameter => self.parameter(names),
            to_view => self.to_view(names),
            rule_create => self.rule(match self.need {
                Need::Required => "",
                Need::Optional => none,
                Need::Default => "; false when absent",
            }),
            rule_change => self.rule(if optional { cleared } else { "" }),
            schema_create => self.schema(None),
            schema_change => self.schema(Some(&in_option(self.kind.wire()))),
            sample_domain => self.in_domain(names, true, "Some"),
            other_change => self.other_change(names),
            least_domain => if optional { "None".to_owned() } else { self.in_domain(names, true, "") },
            assert_changed => self.assert_changed(),
            sample_json => self.json(true),
            other_json => self.json(false),
            unfit => match self.kind {
                Kind::Text => "text",
                Kind::Int => "number",
                Kind::Bool => "flag",
                Kind::Time => "time",
            },
        }
    }

    fn about(&self) -> String {
        let clause = capitalised(&self.clause());
        match (self.is_optional(), clause.starts_with("Its")) {
            (false, _) => format!("{clause}."),
            (true, true) => format!("{clause}, if it has any."),
            (true, false) => format!("{clause}, if that is known."),
        }
    }

    fn about_change(&self) -> String {
        let clause = self.clause();
        match (clause.strip_prefix("its "), self.is_optional()) {
            (Some(noun), false) => format!("The new {noun}, if it changes."),
            (Some(noun), true) => {
                format!("The new {noun}, or that there is none, if that changes.")
            }
            (None, _) => format!("{}, if that changes.", capitalised(&clause)),
        }
    }

    /// The rule in the API's documentation.
    fn rule(&self, rest: &str) -> String {
        let rule = match self.kind {
            Kind::Text => "1 to 1000 characters".to_owned(),
            Kind::Int => "A whole number of 32 bits".to_owned(),
            Kind::Bool => capitalised(&self.clause()),
            Kind::Time => format!("{}, as RFC 3339 writes it", capitalised(&self.clause())),
        };
        format!("{rule}{rest}.")
    }

    /// What its schema says that its type does not; in a change it says the type as well.
    fn schema(&self, change: Option<&str>) -> String {
        let mut parts = Vec::new();
        if let Some(wire) = change {
            parts.push(format!("value_type = {wire}"));
        }
        match self.kind {
            Kind::Text => parts.push("min_length = 1, max_length = 1000".to_owned()),
            Kind::Time => parts.push("format = DateTime".to_owned()),
            Kind::Int | Kind::Bool => {}
        }
        if change.is_some() || self.is_optional() {
            parts.push("required = false".to_owned());
        }
        parts.join(", ")
    }

    /// What is bound to its place in a statement.
    fn parameter(&self, names: &Names) -> String {
        let place = format!("{}.{}", names.singular, self.name);
        let text_type = format!("{}{}", camel(&names.singular), camel(&self.name));
        match (self.kind, self.is_optional()) {
            (Kind::Text, true) => format!("&{place}.as_ref().map({text_type}::as_str)"),
            (Kind::Text, false) => format!("&{place}.as_str()"),
            _ => format!("&{place}"),
        }
    }

    fn to_view(&self, names: &Names) -> String {
        let place = format!("{}.{}", names.singular, self.name);
        match (self.kind, self.is_optional()) {
            (Kind::Text, true) => format!("{place}.map(Into::into)"),
            (Kind::Text, false) => format!("{place}.into()"),
            _ => place,
        }
    }

    /// A value, or another one, as a test of the domain writes it.
    fn in_domain(&self, names: &Names, sample: bool, wrap: &str) -> String {
        let text_type = format!("{}{}", camel(&names.singular), camel(&self.name));
        let value = match self.kind {
            Kind::Text => format!("{text_type}::parse({}).unwrap()", self.json(sample)),
            Kind::Time if sample => "OffsetDateTime::UNIX_EPOCH".to_owned(),
            Kind::Time => "OffsetDateTime::UNIX_EPOCH + Duration::days(1)".to_owned(),
            Kind::Int | Kind::Bool => self.json(sample),
        };
        if self.is_optional() && !wrap.is_empty() {
            return format!("{wrap}({value})");
        }
        value
    }

    fn other_change(&self, names: &Names) -> String {
        let wrap = if self.is_optional() {
            "Patch::Set"
        } else {
            "Some"
        };
        format!("{wrap}({})", self.in_domain(names, false, ""))
    }

    fn assert_changed(&self) -> String {
        let place = format!("changed.{}", self.name);
        let other = self.json(false);
        match (self.kind, self.is_optional()) {
            (Kind::Text, true) => format!("assert_eq!({place}.unwrap().as_str(), {other});"),
            (Kind::Text, false) => format!("assert_eq!({place}.as_str(), {other});"),
            (Kind::Bool, false) => format!("assert!(!{place});"),
            (Kind::Int | Kind::Bool, true) => format!("assert_eq!({place}, Some({other}));"),
            (Kind::Int, false) => format!("assert_eq!({place}, {other});"),
            (Kind::Time, true) => {
                format!(
                    "assert_eq!({place}, Some(OffsetDateTime::UNIX_EPOCH + Duration::days(1)));"
                )
            }
            (Kind::Time, false) => {
                format!("assert_eq!({place}, OffsetDateTime::UNIX_EPOCH + Duration::days(1));")
            }
        }
    }

    /// A value, or another one, in JSON.
    pub(super) fn json(&self, sample: bool) -> String {
        let noun = words(&self.name);
        match (self.kind, sample) {
            (Kind::Text, true) => format!("\"some {noun}\""),
            (Kind::Text, false) => format!("\"another {noun}\""),
            (Kind::Int, true) => "1".to_owned(),
            (Kind::Int, false) => "2".to_owned(),
            (Kind::Bool, _) => sample.to_string(),
            (Kind::Time, true) => "\"2030-01-31T12:00:00Z\"".to_owned(),
            (Kind::Time, false) => "\"2031-01-31T12:00:00Z\"".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> anyhow::Result<Vec<Field>> {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        parse_all(&texts)
    }

    #[test]
    fn a_field_has_a_name_a_kind_and_a_mark() {
        let fields = parse(&["title:text!", "body:text?", "pinned:bool"]).unwrap();

        let read = |name: &str, kind, need| Field {
            name: name.to_owned(),
            kind,
            need,
        };
        assert_eq!(
            fields,
            [
                read("title", Kind::Text, Need::Required),
                read("body", Kind::Text, Need::Optional),
                read("pinned", Kind::Bool, Need::Default),
            ]
        );
    }

    #[test]
    fn every_kind_is_read_again_from_its_column() {
        let texts = [
            "a:text!", "b:text?", "c:int!", "d:int?", "e:bool", "f:bool!", "g:bool?", "h:time!",
            "i:time?",
        ];

        for field in parse(&texts).unwrap() {
            let line = format!("    {} {},", field.name, field.column());
            assert_eq!(Field::of_column(&line), Some(field));
        }
    }

    #[test]
    fn a_refusal_names_what_it_refuses_and_what_is_accepted() {
        for (texts, reasons) in [
            (&[][..], ["at least one field", "name:text!"]),
            (&["title"], ["\"title\" is no field", "name:text!"]),
            (&["title:string!"], ["\"string!\" is no kind", "name:time?"]),
            (&["title:text"], ["title:text ", "title:text?"]),
            (&["Title:text!"], ["\"Title\"", "lower case"]),
            (&["type:text!"], ["type ", "keyword of Rust"]),
            (&["order:int!"], ["order ", "reserved word of SQL"]),
            (&["a:bool", "a:int!"], ["field a ", "twice"]),
        ] {
            let refusal = parse(texts).unwrap_err().to_string();
            for reason in reasons {
                assert!(refusal.contains(reason), "{texts:?}: {refusal}");
            }
        }
        assert!(
            parse(&["a:bool"; 13])
                .unwrap_err()
                .to_string()
                .contains("too many")
        );
    }

    #[test]
    fn what_a_field_is_about_is_said_in_words() {
        let about = |text: &str| Field::parse(text).unwrap().about();

        assert_eq!(about("title:text!"), "Its title.");
        assert_eq!(about("due_at:time?"), "When it is due, if that is known.");
        assert_eq!(about("expires_at:time!"), "When it expires.");
        assert_eq!(about("is_open:bool"), "Whether it is open.");
        assert_eq!(about("has_cover:bool!"), "Whether it has a cover.");
    }
}
