//! The classes of pictures that lie in folders: by the `dataset.json` of StyleGAN's tools where there is one, otherwise by their
//! folders, unless these are only numbered parts of the set.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};

use super::labels::{ClassesFrom, Gather, Labels};

/// Folders that part a set for evaluation and say nothing of what is on its pictures.
const SPLITS: [&str; 10] =
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "unlabeled"];
/// The file of labels that StyleGAN's tools write beside their folders.
pub(super) const DATASET_JSON: &str = "dataset.json";
/// Bytes that such a file may have.
pub(super) const JSON_LIMIT: u64 = 1 << 28;
/// Digits in the names of numbered parts: with so many, and zeros before the number, they are hardly ever classes.
const LEAST_DIGITS: usize = 3;
const PLENTY_OF_DIGITS: usize = 5;

/// Whether a file is a `dataset.json`.
pub(super) fn is_dataset_json(name: &str) -> bool {
    name.rsplit('/').next() == Some(DATASET_JSON)
}

/// What the pictures of these names are, and what should be known of that. `labels` are the `dataset.json` of the set: where each
/// lies (`faces/dataset.json`), and what is in it.
pub(super) fn classes<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    labels: &[(String, Vec<u8>)],
) -> (Labels, Vec<String>) {
    let mut notes = Vec::new();
    let mut known: Option<HashMap<String, String>> = None;
    for (path, bytes) in labels {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match StyleGan::read(bytes) {
            Ok(Some(told)) => known.get_or_insert_default().extend(told.under(folder)),
            Ok(None) => {}
            Err(cause) => notes.push(format!("{path} cannot be read ({cause}), so it gives no classes")),
        }
    }
    let Some(known) = known else {
        let (labels, note) = by_folders(names);
        notes.extend(note);
        return (labels, notes);
    };
    let mut gather = Gather::default();
    let mut without = 0u64;
    for name in names {
        let class = known.get(name).map(String::as_str);
        without += u64::from(class.is_none());
        gather.push(class);
    }
    if known.is_empty() {
        notes.push(format!("{DATASET_JSON} gives no classes, and the folders are only parts of the set"));
    } else if without > 0 {
        notes.push(match without {
            1 => format!("1 picture has no class in {DATASET_JSON}"),
            _ => format!("{without} pictures have no class in {DATASET_JSON}"),
        });
    }
    (gather.finish().from(ClassesFrom::DatasetJson), notes)
}

/// What StyleGAN's tools write: each picture's label, or none at all.
struct StyleGan(Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Table {
    Rows(Vec<(String, serde_json::Value)>),
    Map(HashMap<String, serde_json::Value>),
}

#[derive(Deserialize)]
struct Json {
    /// Whether there is such a field, and whether it is null.
    #[serde(default, deserialize_with = "even_null")]
    labels: Option<Option<Table>>,
}

fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Table>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl StyleGan {
    /// Reads a file; none where it is another program's.
    fn read(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let labels = match serde_json::from_slice::<Json>(bytes) {
            Ok(Json { labels: Some(labels) }) => labels,
            Ok(Json { labels: None }) => return Ok(None),
            Err(error) if error.is_data() => return Ok(None),
            Err(error) => return Err(error),
        };
        let rows = match labels {
            None => Vec::new(),
            Some(Table::Rows(rows)) => rows,
            Some(Table::Map(map)) => map.into_iter().collect(),
        };
        let classes = rows.into_iter().filter_map(|(name, label)| Some((name.replace('\\', "/"), class(&label)?)));
        Ok(Some(Self(classes.collect())))
    }

    /// The classes by the pictures' names in the set, where the file lies in `folder`.
    fn under(self, folder: &str) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter().map(move |(name, class)| match folder {
            "" => (name, class),
            folder => (format!("{folder}/{name}"), class),
        })
    }
}

/// A label as a class: a number, a name, or a vector with a single 1 in it. Other vectors are conditions, not classes.
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

/// The classes, sorted, and each picture's: the folders at the first level below what all pictures have in common.
///
/// Where these are only parts of a set (`train`, `test`), the level below counts instead. Fewer than two folders make no
/// classes, nor do numbered parts, and a picture beside the folders has none.
fn by_folders<'a>(names: impl Iterator<Item = &'a str> + Clone) -> (Labels, Option<String>) {
    let mut level = common(names.clone());
    let distinct = |level: usize| {
        let found: BTreeSet<_> = names.clone().filter_map(|name| at(name, level)).collect();
        found.into_iter().collect::<Vec<_>>()
    };
    let mut note = None;
    let mut classes = distinct(level);
    if classes.iter().all(|class| SPLITS.iter().any(|split| split.eq_ignore_ascii_case(class))) {
        if let [first, _, ..] = classes[..] {
            let training = classes.iter().find(|class| class.to_ascii_lowercase().starts_with("train"));
            note = Some(format!(
                "the folders {} are all learned from; to open one alone, name it: .../{}",
                listed(&classes),
                training.unwrap_or(&first)
            ));
        }
        level += 1;
        classes = distinct(level);
    }
    if classes.len() < 2 {
        return (Labels::default(), note);
    }
    if are_numbered_parts(names.clone(), level, &classes) {
        let parts = format!("the folders {} are numbered parts of the set, not classes", listed(&classes));
        return (Labels::default(), Some(note.map_or(parts.clone(), |note| format!("{note}. And {parts}"))));
    }
    let class_of = names.map(|name| at(name, level).and_then(|class| classes.binary_search(&class).ok()));
    let labels = Labels::new(classes.iter().map(|&class| class.to_owned()).collect(), class_of);
    (labels.from(ClassesFrom::Folders), note)
}

fn listed(folders: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = folders[..folders.len().min(SHOWN)].join(", ");
    if folders.len() > SHOWN { format!("{shown}, ...") } else { shown }
}

/// Whether folders are only parts that a long row of pictures was cut into, as `00000`, `00001` are StyleGAN's.
///
/// Numbers can be classes as well: the digits of MNIST, or `00000` to `00042` of the traffic signs. So the folders' names must be
/// numbers of one length with zeros before them, and the pictures' own numbers must go on from each folder to the next, where
/// those of classes begin anew or lie among each other. Names of three or four digits are parts only where all but the last
/// have the same number of pictures.
fn are_numbered_parts<'a>(names: impl Iterator<Item = &'a str>, level: usize, folders: &[&str]) -> bool {
    let Some(digits) = folders.first().map(|first| first.len()) else { return false };
    let is_number = |name: &&str| name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits < LEAST_DIGITS || !folders.iter().all(is_number) || !folders.iter().any(|name| name.starts_with('0')) {
        return false;
    }
    // The least and the greatest number of each folder's pictures, and how many there are.
    let mut ranges = vec![(u64::MAX, 0, 0u64); folders.len()];
    for name in names {
        let Some(folder) = at(name, level).and_then(|folder| folders.binary_search(&folder).ok()) else { return false };
        let Some(number) = number(name) else { return digits >= PLENTY_OF_DIGITS };
        let (least, most, count) = &mut ranges[folder];
        (*least, *most, *count) = ((*least).min(number), (*most).max(number), *count + 1);
    }
    let go_on = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
    let whole = &ranges[..ranges.len() - 1];
    let alike = whole.iter().all(|range| range.2 == ranges[0].2) && ranges[ranges.len() - 1].2 <= ranges[0].2;
    go_on && (alike || digits >= PLENTY_OF_DIGITS)
}

/// The last number in a file's name, without its ending.
fn number(name: &str) -> Option<u64> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
    let begin = stem[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + stem[at..].chars().next().map_or(1, char::len_utf8));
    stem[begin..end].parse().ok()
}

/// The folder at a level on the way to a picture.
fn at(name: &str, level: usize) -> Option<&str> {
    folders(name).nth(level)
}

/// The folders on the way to a picture, from the top.
fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.rsplit_once('/').into_iter().flat_map(|(folder, _)| folder.split('/'))
}

/// How many folders all pictures have in common.
fn common<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let Some(first) = names.next() else { return 0 };
    let shared: Vec<_> = folders(first).collect();
    names.fold(shared.len(), |level, name| {
        shared[..level].iter().zip(folders(name)).take_while(|(a, b)| **a == *b).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(names: &[&str], json: &[(&str, &str)]) -> (Vec<String>, Vec<Option<usize>>, Vec<String>) {
        let json: Vec<_> = json.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (labels, notes) = classes(names.iter().copied(), &json);
        let of = if labels.names().is_empty() { 0 } else { names.len() as u64 };
        (labels.names().to_vec(), (0..of).map(|i| labels.of(i)).collect(), notes)
    }

    fn of(names: &[&str]) -> (Vec<String>, Vec<Option<usize>>) {
        let (names, classes, _) = labelled(names, &[]);
        (names, classes)
    }

    #[test]
    fn folders_below_the_common_one_are_classes() {
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
    fn one_folder_makes_no_classes() {
        assert_eq!(of(&["faces/a.png", "faces/b.png"]), (vec![], vec![]));
        assert_eq!(of(&["a.png", "b.png"]), (vec![], vec![]));
        assert_eq!(of(&["test/a.png", "train/b.png"]), (vec![], vec![]), "parts of a set are not classes");
        assert_eq!(of(&[]), (vec![], vec![]));
    }

    #[test]
    fn parts_of_a_set_share_their_classes_and_are_all_learned_from() {
        let (names, classes, notes) = labelled(&["Test/cat/a.png", "Train/cat/b.png", "Train/dog/c.png"], &[]);
        assert_eq!((names, classes), (vec!["cat".into(), "dog".into()], vec![Some(0), Some(0), Some(1)]));
        assert!(notes[0].contains("Test, Train") && notes[0].ends_with(".../Train"), "{notes:?}");
    }

    #[test]
    fn a_dataset_json_has_the_classes_and_its_folders_have_none() {
        let names = ["00000/img0.png", "00000/img1.png", "00001/img2.png"];
        let json = r#"{"labels": [["00000/img0.png", 6], ["00000/img1.png", 0], ["00001\\img2.png", 6]]}"#;
        let two = (vec!["0".to_owned(), "6".into()], vec![Some(1), Some(0), Some(1)], vec![]);
        assert_eq!(labelled(&names, &[("dataset.json", json)]), two);
        let inside = names.map(|name| format!("faces/{name}"));
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        assert_eq!(labelled(&inside, &[("faces/dataset.json", json)]), two);
        let hot = r#"{"labels": {"00000/img0.png": [0, 1.0], "00000/img1.png": [1, 0]}}"#;
        let (classes, of, notes) = labelled(&names, &[("dataset.json", hot)]);
        assert_eq!((classes, of), (vec!["0".to_owned(), "1".into()], vec![Some(1), Some(0), None]));
        assert!(notes[0].starts_with("1 picture has no class"), "{notes:?}");
        // Without labels there are no classes; a file of another program, or none at all, leaves it to the folders.
        let named = ["cat/0.png", "dog/1.png"];
        for json in [r#"{"labels": null}"#, r#"{"labels": []}"#] {
            let (classes, _, notes) = labelled(&named, &[("dataset.json", json)]);
            assert!(classes.is_empty() && notes[0].contains("no classes"), "{notes:?}");
        }
        for json in [r#"{"labels": ["cat", "dog"]}"#, r#"{"images": []}"#, "[1, 2]"] {
            let (classes, _, notes) = labelled(&named, &[("dataset.json", json)]);
            assert_eq!((classes.len(), notes.len()), (2, 0), "{json}");
        }
        let (classes, _, notes) = labelled(&named, &[("dataset.json", r#"{"labels": [["#)]);
        assert!(classes.len() == 2 && notes[0].contains("dataset.json cannot be read"), "{notes:?}");
    }

    #[test]
    fn numbered_parts_are_no_classes_but_numbered_classes_are() {
        let parts = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00000002.png"];
        let (classes, _, notes) = labelled(&parts, &[]);
        assert!(classes.is_empty() && notes[0].contains("00000, 00001 are numbered parts"), "{notes:?}");
        for parts in [
            &["01000/01000.png", "01000/01001.png", "00000/00000.png", "00000/00001.png"][..],
            &["train/00000/1.png", "train/00001/2.png", "test/00000/0.png"],
            &["00000/sea.png", "00001/hill.png"],
            &["0000/1.png", "0000/2.png", "0001/3.png"],
        ] {
            assert!(labelled(parts, &[]).0.is_empty(), "{parts:?}");
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
            assert_eq!(labelled(classes, &[]).0.len(), 2, "{classes:?}");
        }
    }

    #[test]
    fn a_name_has_the_number_that_it_ends_in() {
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
