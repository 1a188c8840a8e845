//! Class labels of pictures in folders: from StyleGAN's `dataset.json` if there is one, otherwise from the folders'
//! names, unless these are only numbered shards of the set.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};

use super::labels::{ClassLabels, ClassSource, LabelBuilder};

/// Names of folders that are splits, not classes.
const SPLITS: [&str; 10] =
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "unlabeled"];
/// The label file of StyleGAN's dataset tool.
pub(super) const DATASET_JSON: &str = "dataset.json";
/// Limit of its size.
pub(super) const JSON_LIMIT: u64 = 1 << 28;
/// Minimal digits of a shard's folder name, and the number from which zero-padded names are hardly ever classes.
const MIN_DIGITS: usize = 3;
const MANY_DIGITS: usize = 5;

pub(super) fn is_dataset_json(name: &str) -> bool {
    name.rsplit('/').next() == Some(DATASET_JSON)
}

/// Labels for pictures of these names, and notes. `labels` has each `dataset.json` of the set: its path
/// (`faces/dataset.json`) and contents.
pub(super) fn classes<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    labels: &[(String, Vec<u8>)],
) -> (ClassLabels, Vec<String>) {
    let mut notes = Vec::new();
    let mut known: Option<HashMap<String, String>> = None;
    for (path, bytes) in labels {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match StyleGanLabels::read(bytes) {
            Ok(Some(labels)) => known.get_or_insert_default().extend(labels.under(folder)),
            Ok(None) => {}
            Err(cause) => notes.push(format!("{path} cannot be read ({cause}), so its labels are ignored")),
        }
    }
    let Some(known) = known else {
        let (labels, note) = classes_from_folders(names);
        notes.extend(note);
        return (labels, notes);
    };
    let mut builder = LabelBuilder::default();
    let mut without = 0u64;
    for name in names {
        let class = known.get(name).map(String::as_str);
        without += u64::from(class.is_none());
        builder.push(class);
    }
    if known.is_empty() {
        notes.push(format!("{DATASET_JSON} has no labels, so the set has no classes"));
    } else if without > 0 {
        notes.push(match without {
            1 => format!("1 picture has no class in {DATASET_JSON}"),
            _ => format!("{without} pictures have no class in {DATASET_JSON}"),
        });
    }
    (builder.finish().with_source(ClassSource::DatasetJson), notes)
}

/// The contents of a `dataset.json`: names of pictures and their classes. Empty if the set has no labels.
struct StyleGanLabels(Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum LabelTable {
    Rows(Vec<(String, serde_json::Value)>),
    Map(HashMap<String, serde_json::Value>),
}

#[derive(Deserialize)]
struct DatasetJson {
    /// Distinguishes a missing field from null.
    #[serde(default, deserialize_with = "present_or_null")]
    labels: Option<Option<LabelTable>>,
}

fn present_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<LabelTable>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl StyleGanLabels {
    /// Parses a file; `None` if it is another program's.
    fn read(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let labels = match serde_json::from_slice::<DatasetJson>(bytes) {
            Ok(DatasetJson { labels: Some(labels) }) => labels,
            Ok(DatasetJson { labels: None }) => return Ok(None),
            Err(error) if error.is_data() => return Ok(None),
            Err(error) => return Err(error),
        };
        let rows = match labels {
            None => Vec::new(),
            Some(LabelTable::Rows(rows)) => rows,
            Some(LabelTable::Map(map)) => map.into_iter().collect(),
        };
        let classes = rows.into_iter().filter_map(|(name, label)| Some((name.replace('\\', "/"), class(&label)?)));
        Ok(Some(Self(classes.collect())))
    }

    /// Names relative to the set, given the file's folder.
    fn under(self, folder: &str) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter().map(move |(name, class)| match folder {
            "" => (name, class),
            folder => (format!("{folder}/{name}"), class),
        })
    }
}

/// A label as a class name: a number, a text, or a one-hot vector. Other vectors are conditions, not classes.
fn class(label: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match label {
        Value::Number(number) => number.as_f64().filter(|n| n.fract() == 0.0).map(|n| (n as i64).to_string()),
        Value::String(name) => Some(name.clone()),
        Value::Array(values) => {
            let is = |value: &Value, number: f64| value.as_f64() == Some(number);
            let hot = values.iter().position(|value| is(value, 1.0))?;
            let rest = values.iter().enumerate().all(|(i, value)| i == hot || is(value, 0.0));
            (values.len() > 1 && rest).then(|| hot.to_string())
        }
        _ => None,
    }
}

/// Labels from the folders at the first level below the deepest one that all pictures share.
///
/// If these are splits (`train`, `test`), the next level counts. Fewer than two folders and numbered shards are not
/// classes; a picture beside the folders has none.
fn classes_from_folders<'a>(names: impl Iterator<Item = &'a str> + Clone) -> (ClassLabels, Option<String>) {
    let mut level = common_depth(names.clone());
    let distinct = |level: usize| {
        let found: BTreeSet<_> = names.clone().filter_map(|name| folder_at(name, level)).collect();
        found.into_iter().collect::<Vec<_>>()
    };
    let mut note = None;
    let mut classes = distinct(level);
    if classes.iter().all(|class| SPLITS.iter().any(|split| split.eq_ignore_ascii_case(class))) {
        if let [first, _, ..] = classes[..] {
            let training = classes.iter().find(|class| class.to_ascii_lowercase().starts_with("train"));
            note = Some(format!(
                "the folders {} are all used for training; to open one of them, give .../{}",
                list_of(&classes),
                training.unwrap_or(&first)
            ));
        }
        level += 1;
        classes = distinct(level);
    }
    if classes.len() < 2 {
        return (ClassLabels::default(), note);
    }
    if are_numbered_shards(names.clone(), level, &classes) {
        let shards = format!("the folders {} are numbered shards of the set, not classes", list_of(&classes));
        return (ClassLabels::default(), Some(note.map_or(shards.clone(), |note| format!("{note}. Also, {shards}"))));
    }
    let class_of = names.map(|name| folder_at(name, level).and_then(|class| classes.binary_search(&class).ok()));
    let labels = ClassLabels::new(classes.iter().map(|&class| class.to_owned()).collect(), class_of);
    (labels.with_source(ClassSource::Folders), note)
}

fn list_of(folders: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = folders[..folders.len().min(SHOWN)].join(", ");
    if folders.len() > SHOWN { format!("{shown}, ...") } else { shown }
}

/// Whether folders are shards of a numbered sequence, such as StyleGAN's `00000`, `00001`.
///
/// Numbers may be classes as well: MNIST's digits, or `00000` to `00042` of the traffic signs. Shards have
/// zero-padded names of equal length, and their pictures' numbers continue from folder to folder, whereas those of
/// classes restart or interleave. Names of three or four digits are shards only if all but the last have the same
/// number of pictures.
fn are_numbered_shards<'a>(names: impl Iterator<Item = &'a str>, level: usize, folders: &[&str]) -> bool {
    let Some(digits) = folders.first().map(|first| first.len()) else { return false };
    let is_number = |name: &&str| name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits < MIN_DIGITS || !folders.iter().all(is_number) || !folders.iter().any(|name| name.starts_with('0')) {
        return false;
    }
    // Per folder: lowest and highest picture number, and number of pictures.
    let mut ranges = vec![(u64::MAX, 0, 0u64); folders.len()];
    for name in names {
        let Some(folder) = folder_at(name, level).and_then(|folder| folders.binary_search(&folder).ok()) else {
            return false;
        };
        let Some(number) = number(name) else { return digits >= MANY_DIGITS };
        let (min, max, count) = &mut ranges[folder];
        (*min, *max, *count) = ((*min).min(number), (*max).max(number), *count + 1);
    }
    let consecutive = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
    let whole = &ranges[..ranges.len() - 1];
    let equal_counts = whole.iter().all(|range| range.2 == ranges[0].2) && ranges[ranges.len() - 1].2 <= ranges[0].2;
    consecutive && (equal_counts || digits >= MANY_DIGITS)
}

/// The last number in a file name, without its extension.
fn number(name: &str) -> Option<u64> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
    let begin = stem[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + stem[at..].chars().next().map_or(1, char::len_utf8));
    stem[begin..end].parse().ok()
}

/// The folder of a picture at a level of the hierarchy.
fn folder_at(name: &str, level: usize) -> Option<&str> {
    folders(name).nth(level)
}

/// The folders of a picture, outermost first.
fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.rsplit_once('/').into_iter().flat_map(|(folder, _)| folder.split('/'))
}

/// Number of leading folders that all pictures share.
fn common_depth<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let Some(first) = names.next() else { return 0 };
    let shared: Vec<_> = folders(first).collect();
    names.fold(shared.len(), |level, name| {
        shared[..level].iter().zip(folders(name)).take_while(|(a, b)| **a == *b).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(names: &[&str], json: &[(&str, &str)]) -> (Vec<String>, Vec<Option<usize>>, Vec<String>) {
        let json: Vec<_> = json.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (labels, notes) = classes(names.iter().copied(), &json);
        let of = if labels.names().is_empty() { 0 } else { names.len() as u64 };
        (labels.names().to_vec(), (0..of).map(|i| labels.class(i)).collect(), notes)
    }

    fn of(names: &[&str]) -> (Vec<String>, Vec<Option<usize>>) {
        let (names, classes, _) = classify(names, &[]);
        (names, classes)
    }

    #[test]
    fn folders_below_the_common_folder_are_classes() {
        assert_eq!(
            of(&["set/cats/a.png", "set/cats/old/b.png", "set/dogs/c.png"]),
            (vec!["cats".into(), "dogs".into()], vec![Some(0), Some(0), Some(1)])
        );
        assert_eq!(
            of(&["a.png", "cats/b.png", "dogs/c.png"]),
            (vec!["cats".into(), "dogs".into()], vec![None, Some(0), Some(1)])
        );
    }

    #[test]
    fn single_folder_has_no_classes() {
        assert_eq!(of(&["faces/a.png", "faces/b.png"]), (vec![], vec![]));
        assert_eq!(of(&["a.png", "b.png"]), (vec![], vec![]));
        assert_eq!(of(&["test/a.png", "train/b.png"]), (vec![], vec![]), "splits are not classes");
        assert_eq!(of(&[]), (vec![], vec![]));
    }

    #[test]
    fn splits_in_one_folder_share_classes_and_are_all_used() {
        let (names, classes, notes) = classify(&["Test/cat/a.png", "Train/cat/b.png", "Train/dog/c.png"], &[]);
        assert_eq!((names, classes), (vec!["cat".into(), "dog".into()], vec![Some(0), Some(0), Some(1)]));
        assert!(notes[0].contains("Test, Train") && notes[0].ends_with(".../Train"), "{notes:?}");
    }

    #[test]
    fn dataset_json_overrides_folder_names() {
        let names = ["00000/img0.png", "00000/img1.png", "00001/img2.png"];
        let json = r#"{"labels": [["00000/img0.png", 6], ["00000/img1.png", 0], ["00001\\img2.png", 6]]}"#;
        let two = (vec!["0".to_owned(), "6".into()], vec![Some(1), Some(0), Some(1)], vec![]);
        assert_eq!(classify(&names, &[("dataset.json", json)]), two);
        let inside = names.map(|name| format!("faces/{name}"));
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        assert_eq!(classify(&inside, &[("faces/dataset.json", json)]), two);
        let hot = r#"{"labels": {"00000/img0.png": [0, 1.0], "00000/img1.png": [1, 0]}}"#;
        let (classes, of, notes) = classify(&names, &[("dataset.json", hot)]);
        assert_eq!((classes, of), (vec!["0".to_owned(), "1".into()], vec![Some(1), Some(0), None]));
        assert!(notes[0].starts_with("1 picture has no class"), "{notes:?}");
        // A file without labels disables classes; without such a file, or with another program's, folders are
        // classes.
        let named = ["cat/0.png", "dog/1.png"];
        for json in [r#"{"labels": null}"#, r#"{"labels": []}"#] {
            let (classes, _, notes) = classify(&named, &[("dataset.json", json)]);
            assert!(classes.is_empty() && notes[0].contains("no classes"), "{notes:?}");
        }
        for json in [r#"{"labels": ["cat", "dog"]}"#, r#"{"images": []}"#, "[1, 2]"] {
            let (classes, _, notes) = classify(&named, &[("dataset.json", json)]);
            assert_eq!((classes.len(), notes.len()), (2, 0), "{json}");
        }
        let (classes, _, notes) = classify(&named, &[("dataset.json", r#"{"labels": [["#)]);
        assert!(classes.len() == 2 && notes[0].contains("dataset.json cannot be read"), "{notes:?}");
    }

    #[test]
    fn numbered_shards_are_distinguished_from_numbered_classes() {
        let parts = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00000002.png"];
        let (classes, _, notes) = classify(&parts, &[]);
        assert!(classes.is_empty() && notes[0].contains("00000, 00001 are numbered shards"), "{notes:?}");
        for parts in [
            &["01000/01000.png", "01000/01001.png", "00000/00000.png", "00000/00001.png"][..],
            &["train/00000/1.png", "train/00001/2.png", "test/00000/0.png"],
            &["00000/sea.png", "00001/hill.png"],
            &["0000/1.png", "0000/2.png", "0001/3.png"],
        ] {
            assert!(classify(parts, &[]).0.is_empty(), "{parts:?}");
        }
        for classes in [
            // Digits, ImageNet's synsets, traffic signs, birds, identities.
            &["0/1.png", "0/2.png", "1/3.png"][..],
            &["n01440764/n01440764_1.JPEG", "n01443537/n01443537_2.JPEG"],
            &["00000/00000_00000.ppm", "00000/00000_00001.ppm", "00001/00000_00000.ppm"],
            &["001/a_1.png", "002/a_2.png", "002/a_3.png"],
            &["0001/1.png", "0002/3.png", "0001/2.png", "0002/4.png", "0002/5.png"],
            &["000/sea.png", "001/hill.png"],
        ] {
            assert_eq!(classify(classes, &[]).0.len(), 2, "{classes:?}");
        }
    }

    #[test]
    fn picture_number_is_the_last_one_in_its_name() {
        for (name, expected) in [
            ("a/img00000012.png", Some(12)),
            ("7.tar/b-3_x.jpeg", Some(3)),
            ("9/ü4é.png", Some(4)),
            ("9/sea.png", None),
            ("9/99999999999999999999999.png", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}
