//! Helpers for the tests of all formats: opening sets, and damaging files.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{PictureData, PictureSet, check, open_file, open_folder};
use crate::data::DataError;
use crate::image::{DecodeOptions, Picture, decode};

pub(super) fn open(path: &Path) -> Result<PictureSet, DataError> {
    if path.is_dir() { open_folder(path) } else { open_file(path) }
}

/// The error message of opening a file.
pub(super) fn refusal(path: &Path) -> String {
    open(path).expect_err("it is refused").to_string()
}

/// Picture `index`, decoded.
pub(super) fn decoded(opened: &PictureSet, index: u64) -> Picture {
    match opened.pictures.read(index, 0).unwrap() {
        PictureData::Decoded(picture) => picture,
        PictureData::Encoded(bytes) => decode(&bytes, &DecodeOptions::default()).unwrap().picture,
    }
}

/// Class names, and labels of the first `count` pictures.
pub(super) fn classes(opened: &PictureSet, count: u64) -> (Vec<String>, Vec<Option<usize>>) {
    (opened.labels.names().to_vec(), (0..count).map(|i| opened.labels.class(i)).collect())
}

/// Damage to a file.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    /// Truncates to so many thousandths.
    Cut(usize),
    /// Changes bytes at these thousandths.
    Flip(Vec<(usize, u8)>),
    /// Writes a number at so many thousandths of the first 256 bytes.
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

/// Checks that a damaged file is either refused with its name or read as far as possible, quickly and without a
/// panic.
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
                if let Ok(PictureData::Encoded(bytes)) = opened.pictures.read(index, 8) {
                    let _ = decode(&bytes, &DecodeOptions::default());
                }
            }
        }
    }
    prop_assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn known_set_is_found_in_a_sub_folder() {
    let place = tempfile::tempdir().unwrap();
    let inside = place.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("data_batch_1.bin"), vec![0; 3073]).unwrap();
    assert_eq!(open(place.path()).unwrap().pictures.name(0), "data_batch_1.bin#0");
}

#[test]
fn format_is_detected_by_first_bytes_not_by_name() {
    let place = tempfile::tempdir().unwrap();
    let picture = Picture::new(2, 2, 1, vec![7; 4]).to_png().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(picture.len() as u64);
    tar.append_data(&mut header, "a.png", picture.as_slice()).unwrap();
    let tar = tar.into_inner().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &tar).unwrap();
    let gz = gz.finish().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.png", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, &picture).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }";
    let text = format!("{text:<117}\n");
    let npy = [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), &[7; 4]].concat();
    for (name, bytes) in [
        ("tar.zip", &tar),
        ("gz.zip", &gz),
        ("zip.tar", &zip),
        ("gz.tar", &gz),
        ("tar.tar.gz", &tar),
        ("zip.tgz", &zip),
        ("zip.npy", &zip),
        ("npy.zip", &npy),
        ("npy.bin", &npy),
        ("zip.bin", &zip),
        ("tar.dat", &tar),
        ("gz.mat", &gz),
    ] {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        check(&path).unwrap();
        let opened = open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((opened.pictures.len(), decoded(&opened, 0).pixels()), (Some(1), &[7; 4][..]), "{name}");
    }
    for (name, bytes, said) in [
        ("page.zip", &b"<!DOCTYPE html><html>"[..], "web page"),
        ("page.tar.gz", b"<html>", "web page"),
        ("pointer.npz", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("page.bin", b"<html>", "web page"),
        ("one.png", &picture, "a single picture"),
        ("video.parquet", b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "video"),
    ] {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for message in [check(&path).unwrap_err().to_string(), refusal(&path)] {
            assert!(message.contains(name) && message.contains(said), "{message}");
        }
    }
}
