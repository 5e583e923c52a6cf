//! Every template as files that a browser opens.

use std::{fs, path::Path};

use anyhow::Context;
use minijinja::{Environment, context};

use super::Mail;

/// Writes subject, text and HTML of every template, filled with its sample, and a page that shows them all: `index.html`.
pub(super) fn write(mail: &Mail, folder: &Path) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    let mut messages = Vec::new();
    for template in mail.templates() {
        let words = mail.render(template, (template.sample)())?;
        let file = |ending: &str| folder.join(format!("{}.{ending}", template.name));
        fs::write(file("subject.txt"), format!("{}\n", words.subject)).with_context(cannot)?;
        fs::write(file("txt"), &words.text).with_context(cannot)?;
        fs::write(file("html"), &words.html).with_context(cannot)?;
        messages.push(context! {
            name => template.name,
            subject => words.subject,
            text => words.text,
        });
    }
    let mut environment = Environment::new();
    environment.add_template("index.html", include_str!("templates/preview.html"))?;
    let page = environment.get_template("index.html")?;
    let page = page.render(context! { messages })?;
    fs::write(folder.join("index.html"), page).with_context(cannot)
}
