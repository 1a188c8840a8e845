//! What every kind's tests need: a look at a file, and files that are damaged in many ways.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Found, Opened, open_file, open_folder};
use crate::data::DataError;
use crate::image::{DecodeOptions, Picture, decode};

/// Opens a file or folder.
pub(super) fn open(path: &Path) -> Result<Opened, DataError> {
    if path.is_dir() { open_folder(path) } else { open_file(path) }
}

/// The message that refuses a file.
pub(super) fn refusal(path: &Path) -> String {
    open(path).expect_err("it is refused").to_string()
}

/// Picture `index` where the set has pixels.
pub(super) fn decoded(opened: &Opened, index: u64) -> Picture {
    match opened.pictures.read(index, 0).unwrap() {
        Found::Decoded(picture) => picture,
        Found::Encoded(bytes) => decode(&bytes, &DecodeOptions::default()).unwrap().picture,
    }
}

/// The classes' names, and those of the first `count` pictures.
pub(super) fn classes(opened: &Opened, count: u64) -> (Vec<String>, Vec<Option<usize>>) {
    (opened.labels.names().to_vec(), (0..count).map(|i| opened.labels.of(i)).collect())
}

/// A damaged file.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    /// So many thousandths are left.
    Cut(usize),
    /// At so many thousandths, a byte is changed.
    Flip(Vec<(usize, u8)>),
    /// At so many thousandths of its first 256 bytes, a number is made huge.
    Huge(usize, u32),
}

pub(super) fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0usize..1000).prop_map(Damage::Cut),
        prop::collection::vec((0usize..1000, any::<u8>()), 1..6).prop_map(Damage::Flip),
        (0usize..1000, prop_oneof![Just(u32::MAX), Just(0x7fff_ffff), Just(0x8000_0000), Just(0)])
            .prop_map(|(at, number)| Damage::Huge(at, number)),
    ]
}

impl Damage {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let length = bytes.len();
        match self {
            Self::Cut(left) => bytes.truncate(length * left / 1000),
            Self::Flip(flips) => flips.iter().for_each(|(at, by)| bytes[length * at / 1000] ^= by),
            Self::Huge(at, number) => {
                let at = length.min(256) * at / 1000;
                bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
        }
        bytes
    }
}

/// A damaged file is refused by name or read as far as it goes, soon and without a panic.
pub(super) fn survives(name: &str, bytes: &[u8], damage: &Damage) -> Result<(), TestCaseError> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(name);
    std::fs::write(&path, damage.of(bytes)).unwrap();
    let began = Instant::now();
    match open(&path) {
        Err(error) => prop_assert!(error.to_string().contains(name), "{error}"),
        Ok(opened) => {
            let count = opened.pictures.len().unwrap_or(0);
            for index in 0..count.min(8) {
                opened.pictures.name(index);
                if let Ok(Found::Encoded(bytes)) = opened.pictures.read(index, 8) {
                    let _ = decode(&bytes, &DecodeOptions::default());
                }
            }
        }
    }
    prop_assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_known_set_in_a_folder_of_its_own_is_found() {
    let place = tempfile::tempdir().unwrap();
    let inside = place.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("data_batch_1.bin"), vec![0; 3073]).unwrap();
    assert_eq!(open(place.path()).unwrap().pictures.name(0), "data_batch_1.bin#0");
}
