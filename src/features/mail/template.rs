//! Templates: what a message says, compiled into the program.

use anyhow::Context;
use minijinja::{Environment, UndefinedBehavior, Value, context};

/// A template of one kind of message. Each feature that sends mail owns its templates.
///
/// The three sources are minijinja's. All of them know `product` (`MAIL_PRODUCT_NAME`), and the parts know `subject`. What
/// a template names and the context lacks is an error, not a gap. `text` and `html` may begin with `{% extends "layout.txt" %}` and
/// `{% extends "layout.html" %}`, whose block `body` they fill.
#[derive(Debug)]
pub struct Template {
    /// The label of the metric and the file name of the preview, like `password_reset`.
    pub name: &'static str,
    /// The subject, one line.
    pub subject: &'static str,
    /// The plain text.
    pub text: &'static str,
    /// The HTML. What the context says is escaped.
    pub html: &'static str,
    /// A context for previews and tests, about no person who exists.
    pub sample: fn() -> Value,
}

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
}

/// All templates, parsed.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    all: Vec<&'static Template>,
}

impl Templates {
    /// Parses the templates.
    ///
    /// # Errors
    ///
    /// When a source is no template, or two templates have one name.
    pub(super) fn new(all: &[&'static Template], product: &str) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_global("product", product);
        environment.add_template("layout.txt", include_str!("templates/layout.txt"))?;
        environment.add_template("layout.html", include_str!("templates/layout.html"))?;
        for template in all {
            let name = template.name;
            anyhow::ensure!(
                environment.get_template(&subject_of(name)).is_err(),
                "two templates of mail are named {name}"
            );
            // The ending decides whether values are escaped.
            for (file, source) in [
                (subject_of(name), template.subject),
                (text_of(name), template.text),
                (html_of(name), template.html),
            ] {
                let added = environment.add_template_owned(file, source);
                added.with_context(|| format!("the mail template {name} cannot be parsed"))?;
            }
        }
        Ok(Self {
            environment,
            all: all.to_vec(),
        })
    }

    pub(super) fn all(&self) -> &[&'static Template] {
        &self.all
    }

    /// Puts the context into the template.
    pub(super) fn render(
        &self,
        template: &Template,
        values: Value,
    ) -> Result<Rendered, minijinja::Error> {
        let name = template.name;
        let render = |file: String, values: Value| {
            let parsed = self.environment.get_template(&file)?;
            parsed.render(values)
        };
        let subject = one_line(&render(subject_of(name), values.clone())?);
        let values = context! { subject => subject, ..values };
        Ok(Rendered {
            text: with_one_end(&render(text_of(name), values.clone())?),
            html: with_one_end(&render(html_of(name), values)?),
            subject,
        })
    }
}

fn subject_of(name: &str) -> String {
    format!("{name}.subject")
}

fn text_of(name: &str) -> String {
    format!("{name}.txt")
}

fn html_of(name: &str) -> String {
    format!("{name}.html")
}

/// Without line ends and other control characters, which could begin another header.
fn one_line(text: &str) -> String {
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    let words = text.split(is_gap).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn with_one_end(text: &str) -> String {
    format!("{}\n", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    static GREETING: Template = Template {
        name: "greeting",
        subject: "Hello {{ name }},\n from {{ product }}",
        text: "{% extends \"layout.txt\" %}{% block body %}Hello {{ name }}{% endblock %}",
        html: "{% extends \"layout.html\" %}{% block body %}<b>{{ name }}</b>{% endblock %}",
        sample: || context! { name => "Ada" },
    };

    fn templates() -> Templates {
        Templates::new(&[&GREETING], "Notes & More").unwrap()
    }

    #[test]
    fn text_is_as_it_was_and_html_is_escaped() {
        let name = "<script>alert('\"&')</script>";

        let rendered = templates().render(&GREETING, context! { name });
        let rendered = rendered.unwrap();

        assert_eq!(rendered.text, format!("Hello {name}\n--\nNotes & More\n"));
        let escaped = "<b>&lt;script&gt;alert(&#x27;&quot;&amp;&#x27;)&lt;&#x2f;script&gt;</b>";
        assert!(rendered.html.contains(escaped), "{}", rendered.html);
        assert!(
            rendered
                .html
                .contains("<p style=\"font-size:14px\">Notes &amp; More</p>")
        );
        assert!(!rendered.html.contains("<script"));
    }

    #[test]
    fn a_subject_is_one_line_whatever_the_context_holds() {
        let name = "x\r\nBcc: eve@example.com\u{0}\u{85}\u{2028}y";

        let rendered = templates().render(&GREETING, context! { name });

        assert_eq!(
            rendered.unwrap().subject,
            "Hello x Bcc: eve@example.com y, from Notes & More"
        );
    }

    #[test]
    fn what_the_context_lacks_is_an_error() {
        assert!(templates().render(&GREETING, context! {}).is_err());
    }

    #[test]
    fn two_templates_have_two_names_and_all_can_be_parsed() {
        static BROKEN: Template = Template {
            name: "broken",
            subject: "{{",
            ..GREETING
        };

        let twice = Templates::new(&[&GREETING, &GREETING], "x").unwrap_err();
        let broken = Templates::new(&[&BROKEN], "x").unwrap_err();

        assert_eq!(
            twice.to_string(),
            "two templates of mail are named greeting"
        );
        assert_eq!(
            broken.to_string(),
            "the mail template broken cannot be parsed"
        );
    }
}
