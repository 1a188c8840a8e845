//! Choosing a graphics card by name or number, and the cache of tuning results.

use std::path::Path;

use super::support::{json, stderr, text, zscape};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const SMALL: [&str; 9] = ["--data", "synth:rooms", "--size", "16", "--base", "4", "--batch", "4", "--steps"];

#[test]
fn a_missing_card_is_refused_before_anything_is_written() {
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

/// Trains one step on the software adapter, which caches its tuning in `cache`; what it prints. Sampling tunes nothing.
fn trained(folder: &Path, name: &str, cache: &str) -> String {
    let run = folder.join(name);
    let train = [&["train", "--device", "llvmpipe", "--run", text(&run)][..], &SMALL, &["1"]].concat();
    stderr(zscape(&train).env("ZSCAPE_CACHE", folder.join(cache)).current_dir(folder.join("here")), 0)
}

#[test]
fn a_second_start_reuses_the_tuning_results_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (run, here, cache) = (folder.path().join("run"), folder.path().join("here"), folder.path().join("cache"));
    [&here, &cache].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let train = [&["train", "--device", "cpu", "--run", text(&run)][..], &SMALL, &["1"]].concat();
    zscape(&train).env("ZSCAPE_CACHE", &cache).current_dir(&here).assert().success();
    assert_eq!(names(&cache), [""; 0], "the CPU caches no tuning");

    let first = trained(folder.path(), "first", "cache");
    assert!(first.contains("Tuning kernels for this GPU"), "{first}");
    let second = trained(folder.path(), "second", "cache");
    assert!(!second.contains("for this GPU"), "{second}");
    let doctor = json(zscape(&["doctor", "--json", "--device", "cpu"]).env("ZSCAPE_CACHE", &cache));
    assert_eq!(doctor["tuning"]["file"].as_str(), cache.join("tuning/kernels.db").to_str());
    assert!(doctor["tuning"]["bytes"].as_u64().unwrap() > 0);

    // A cache folder that cannot be created is no error.
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    let unkept = trained(folder.path(), "third", "file");
    assert!(unkept.contains("for this GPU") && !unkept.contains("WARN") && !unkept.contains("ERROR"), "{unkept}");
    assert_eq!(names(&here), [""; 0], "nothing is left in the current folder");
}

#[test]
fn doctor_prints_the_path_of_the_tuning_results() {
    let tuning = |cache: &str| {
        let doctor = json(zscape(&["doctor", "--json", "--device", "cpu"]).env("ZSCAPE_CACHE", cache));
        doctor["tuning"]["file"].as_str().map(str::to_owned)
    };
    assert_eq!(tuning("off"), None);
    assert_eq!(tuning("elsewhere"), Path::new("elsewhere/tuning/kernels.db").to_str().map(str::to_owned));
}
