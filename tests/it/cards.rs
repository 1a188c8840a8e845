//! Graphics cards by their names and numbers, and what is kept of their tuning.

use std::path::Path;

use super::command_line::{json, stderr, text, zscape};

/// A command with folders of its own for whatever it keeps.
fn at_home(home: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = zscape(arguments);
    command.env_remove("ZSCAPE_CACHE").env_remove("XDG_DATA_HOME").env("HOME", home.join("home"));
    command.env("XDG_CACHE_HOME", home.join("cache")).current_dir(home.join("here"));
    command
}

fn homes(home: &Path) {
    ["home", "cache", "here"].iter().for_each(|name| std::fs::create_dir(home.join(name)).unwrap());
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const SMALL: [&str; 9] = ["--data", "synth:rooms", "--size", "16", "--base", "4", "--batch", "4", "--steps"];

#[test]
fn a_card_that_is_not_there_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for asked in ["gpu:77", "Voodoo 9"] {
        let train = ["train", "--device", asked, "--run", text(&run)];
        let error = stderr(&mut zscape(&[&train[..], &SMALL, &["1"]].concat()), 1);
        assert!(
            error.contains(&format!("no graphics card {asked}")) || error.contains(&format!("{asked:?}")),
            "{error}"
        );
        assert!(error.contains("this machine has") && error.contains("--device cpu"), "{error}");
        assert!(!run.exists());
    }
    let error = stderr(&mut zscape(&["bench", "--device", "gpu:one"]), 2);
    assert!(error.contains("gpu:1 for a card by its number"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_second_start_takes_the_first_ones_tuning_results() {
    let folder = tempfile::tempdir().unwrap();
    homes(folder.path());
    let train = |device: &str, run: &str| {
        let run = folder.path().join(run);
        let arguments = [&["train", "--device", device, "--run", text(&run)][..], &SMALL, &["2"]].concat();
        stderr(&mut at_home(folder.path(), &arguments), 0)
    };
    train("cpu", "cpu");
    assert_eq!(names(&folder.path().join("cache")), [""; 0], "the CPU has nothing to keep");
    let first = train("llvmpipe", "first");
    assert!(first.contains("Tuning kernels for this GPU"), "{first}");
    assert!(first.contains("kernels are tuned for this GPU; the next start finds them"), "{first}");
    let second = train("llvmpipe", "second");
    assert!(!second.contains("uning kernels"), "{second}");
    assert!(second.contains("training on llvmpipe"), "{second}");
    let doctor = json(&mut at_home(folder.path(), &["doctor", "--json", "--device", "cpu"]));
    let file = doctor["tuning"]["file"].as_str().unwrap();
    assert!(Path::new(file).starts_with(folder.path().join("cache/zscape")) && Path::new(file).exists(), "{file}");
    assert!(doctor["tuning"]["bytes"].as_u64().unwrap() > 0);
    for folder in ["here", "home"].map(|name| folder.path().join(name)) {
        assert_eq!(names(&folder), [""; 0], "{}", folder.display());
    }
}

#[cfg(unix)]
#[test]
fn a_cache_folder_that_cannot_be_written_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    homes(folder.path());
    let (file, run) = (folder.path().join("file"), folder.path().join("run"));
    std::fs::write(&file, "no folder").unwrap();
    let arguments = [&["train", "--device", "llvmpipe", "--run", text(&run)][..], &SMALL, &["1"]].concat();
    let said = stderr(at_home(folder.path(), &arguments).env("ZSCAPE_CACHE", &file), 0);
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let doctor = json(at_home(folder.path(), &["doctor", "--json", "--device", "cpu"]).env("ZSCAPE_CACHE", "off"));
    assert_eq!(doctor["tuning"]["file"], serde_json::Value::Null);
}
