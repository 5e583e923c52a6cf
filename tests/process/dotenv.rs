//! The scripts and the program read settings alike: they get the same bytes, or both refuse.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use warp_skeleton::settings;

use super::support::Folder;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// A setting that may be any text.
const NAME: &str = "SERVICE_NAME";

/// Runs a piece of bash that knows what the scripts share.
fn bash(text: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let script = format!("set -euo pipefail; . \"$1/lib.sh\"; {text}");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "test", SCRIPTS]);
    command.args(arguments);
    for name in [NAME, "CONFIG_FILE", "DB_PASSWORD", "DB_PASSWORD_FILE"] {
        command.env_remove(name);
    }
    command.envs(settings.iter().copied()).output().unwrap()
}

/// Reads each file of a folder by the scripts: what is found goes beside it. One process for all is what makes this quick.
const READ_EACH: &str = r#"
for file in "$2"/*.in; do
    if (value_in SERVICE_NAME "$file" $3 >"${file%.in}.out" 2>/dev/null); then :; else rm "${file%.in}.out"; fi
done"#;

/// What the scripts find in each of these files; `None` where they refuse.
fn read_by_scripts(files: &[String], reader: &str) -> Vec<Option<Vec<u8>>> {
    let folder = Folder::new();
    let path = |index: usize, kind: &str| folder.join(format!("{index:05}.{kind}"));
    for (index, text) in files.iter().enumerate() {
        fs::write(path(index, "in"), text).unwrap();
    }
    let output = bash(READ_EACH, &[folder.to_str().unwrap(), reader], &[]);
    assert!(output.status.success(), "{output:?}");
    let found = (0..files.len()).map(|index| fs::read(path(index, "out")).ok());
    found.collect()
}

fn read_by_program(text: &str, path: &Path) -> Result<String, String> {
    fs::write(path, text).unwrap();
    let values = settings::catalogue().load_dotenv(path);
    let values = values.map_err(|error| error.to_string())?;
    let setting = &chassis_telemetry::SERVICE_NAME;
    if !values.is_given(setting) {
        return Ok(String::new());
    }
    Ok(values.read(setting).unwrap())
}

/// So many values of a strategy, the same ones each time.
fn generated<T>(count: usize, strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let values = (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    values.collect()
}

#[test]
fn the_scripts_read_dotenv_as_the_program_does() {
    let before = [
        "",
        "\u{feff}",
        "# x\n",
        "\n  ",
        "MY-VAR=1\n",
        "TITLE=My App\n",
        "SERVICE_NAMES=c\n",
    ];
    let name = [
        "SERVICE_NAME=",
        "SERVICE_NAME =",
        "export SERVICE_NAME=",
        " SERVICE_NAME= ",
        "SERVICE_NAME=\t",
    ];
    let value = "[ab1 \t'\"\\\\$`#=né&;!*?~{}()<>|%-]{0,9}";
    let after = [
        "",
        "\n",
        "\r\n",
        "\r",
        " \n",
        "\nOTHER=x\n",
        " # c\n",
        "\nSERVICE_NAME=last",
        "\nSERVICE_NAME=\n",
    ];
    let parts = (
        select(before.to_vec()),
        select(name.to_vec()),
        value,
        select(after.to_vec()),
    );
    let file =
        parts.prop_map(|(before, name, value, after)| format!("{before}{name}{value}{after}"));
    let mut files = generated(600, &file);
    for odd in [
        r"ab\\cd",
        r#""quo\"te""#,
        r"'it'\''s'",
        "pa$sw0rd",
        "'pa$sw0rd'",
        r#""a\nb""#,
        r#""a\n""#,
        "a#b",
        "#a",
        r"a\ b",
        "é😀",
        "'",
    ] {
        files.push(format!("SERVICE_NAME={odd}\n"));
    }

    let by_scripts = read_by_scripts(&files, "read_word");
    let folder = Folder::new();
    let path = folder.join(".env");
    let mut read = 0;
    for (text, scripts) in files.iter().zip(by_scripts) {
        match (read_by_program(text, &path), scripts) {
            (Ok(program), Some(scripts)) => {
                read += usize::from(!program.is_empty());
                assert_eq!(String::from_utf8_lossy(&scripts), program, "{text:?}");
            }
            (Err(_), None) => {}
            // What a shell would lose is refused instead.
            (Ok(program), None) if program.ends_with('\n') => {}
            (program, scripts) => {
                panic!("{text:?}: the program {program:?}, the scripts {scripts:?}")
            }
        }
    }
    assert!(read > 120, "only {read} values were read");
}

#[test]
fn the_scripts_read_toml_as_the_program_does_or_refuse() {
    let name = [
        "SERVICE_NAME = ",
        "SERVICE_NAME=",
        "PORT = 1\nSERVICE_NAME = ",
    ];
    let value = [
        r#""a""#,
        "'a'",
        r#""a b#c""#,
        r"'a\b'",
        r#""a\\b\"c""#,
        r#""a$b`c""#,
        r#""é""#,
        "5433",
        "5_433",
        "0x1F",
        "1e3",
        "1.50",
        r#""a" # c"#,
        "true",
        "''",
        r#""a\tb""#,
        r#""a\u0041""#,
        "'''a'''",
        r#""""a""""#,
    ];
    let parts = (select(name.to_vec()), select(value.to_vec()));
    let files = generated(
        200,
        &parts.prop_map(|(name, value)| format!("{name}{value}\n")),
    );

    let by_scripts = read_by_scripts(&files, "read_toml_value");
    let folder = Folder::new();
    let toml = folder.join("settings.toml");
    let dotenv = toml.with_file_name(".env");
    let mut read = 0;
    for (text, scripts) in files.iter().zip(by_scripts) {
        fs::write(&toml, text).unwrap();
        let pointer = format!("CONFIG_FILE='{}'\n", toml.display());
        let program = read_by_program(&pointer, &dotenv).unwrap();
        if let Some(scripts) = scripts {
            read += 1;
            assert_eq!(String::from_utf8_lossy(&scripts), program, "{text:?}");
        }
    }
    assert!(read > 100, "only {read} values were read");
}

#[test]
fn a_later_place_wins_over_the_file_of_an_earlier_one() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let secret = write("secret", "from a file \r\n");
    let toml = write("settings.toml", "DB_PASSWORD = \"toml\"\n");
    let find = |lines: &str, settings: &[(&str, &str)]| {
        write(".env", lines);
        let arguments = [folder.to_str().unwrap()];
        let output = bash("root=$2; setting DB_PASSWORD", &arguments, settings);
        let found = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(found)
    };
    let found = |text: &str| Some(text.to_owned());

    let lines = format!("CONFIG_FILE={toml}\n");
    assert_eq!(find(&lines, &[]), found("toml"));
    let environment = [("DB_PASSWORD", "environment")];
    assert_eq!(find(&lines, &environment), found("environment"));
    let lines = format!("CONFIG_FILE={toml}\nDB_PASSWORD_FILE={secret}\n");
    assert_eq!(find(&lines, &[]), found("from a file "));
    let lines = "DB_PASSWORD='dot env'\n";
    assert_eq!(find(lines, &[]), found("dot env"));
    let by_file = [("DB_PASSWORD_FILE", secret.as_str())];
    assert_eq!(find(lines, &by_file), found("from a file "));
    let empty = write("empty", "\n");
    assert_eq!(find(lines, &[("DB_PASSWORD_FILE", &empty)]), None);
    assert_eq!(find(lines, &[("DB_PASSWORD_FILE", "/nowhere")]), None);
    assert_eq!(find("DB_PASSWORD=dot env\n", &[]), None);
}
