//! The documentation's commands exist, with their flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::support::{stdout, zscape};

/// All Markdown files of the documentation.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = walkdir::WalkDir::new(root.join("docs")).into_iter().map(|entry| entry.unwrap().into_path());
    let rest = ["README.md", "assets/README.md"].map(|name| root.join(name));
    docs.chain(rest).filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The commands in indented code, with lines joined that end in a backslash and comments removed.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let code = joined.lines().filter_map(|line| line.strip_prefix("    "));
    code.filter_map(|line| line.split(" #").next())
        .map(str::to_owned)
        .filter(|line| line.starts_with("zscape "))
        .collect()
}

#[test]
fn documented_commands_and_flags_exist() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for page in pages() {
        for line in commands(&std::fs::read_to_string(&page).unwrap()) {
            let mut words = line.split_whitespace().skip(1);
            let command = words.next().unwrap();
            let help = helps.entry(command.to_owned()).or_insert_with(|| stdout(&mut zscape(&[command, "--help"])));
            for flag in words.filter(|word| word.starts_with("--")) {
                let known = help.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == flag);
                assert!(known, "{}: {line}: zscape {command} has no {flag}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
}
