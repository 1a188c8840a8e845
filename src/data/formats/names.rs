//! Names in archives that are in no encoding of Unicode.
//!
//! Zips of older programs, and tars of older systems, have names in whatever their machine spoke, and do not say what that was.
//! It is found once for all names of an archive, since one name is too little to go by.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::archive::Entry;

/// Encodings of names that are looked for. Western ones differ too little to be told apart by a few names.
const KNOWN: [&Encoding; 6] = [SHIFT_JIS, GBK, EUC_KR, BIG5, EUC_JP, GB18030];

/// Names that still have to be made readable: whose they are, and their bytes.
pub(super) type Undecoded = Vec<(usize, Vec<u8>)>;

/// The encoding of names, where it is one of those that are known and all of them are valid in it.
fn found(names: &Undecoded) -> Option<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for (_, name) in names {
        detector.feed(name, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    let fits = |encoding: &&'static Encoding| {
        names.iter().all(|(_, name)| encoding.decode_without_bom_handling_and_without_replacement(name).is_some())
    };
    let guess = detector.guess(None, Utf8Detection::Deny);
    KNOWN.into_iter().find(|known| *known == guess).filter(fits)
}

/// Gives the entries their names where their encoding is found; says which it is.
pub(super) fn decode(entries: &mut [Entry], names: &Undecoded) -> Option<String> {
    let encoding = found(names)?;
    for (which, name) in names {
        let (readable, _) = encoding.decode_without_bom_handling(name);
        if let Some(entry) = entries.get_mut(*which) {
            entry.name = readable.replace('\\', "/").into();
        }
    }
    Some(format!("{} of its names are in no encoding of Unicode, and were read as {}", names.len(), encoding.name()))
}

/// Gives the entries names that differ where their bytes do.
pub(super) fn escape(entries: &mut [Entry], names: &Undecoded) -> String {
    for (which, name) in names {
        if let Some(entry) = entries.get_mut(*which) {
            entry.name = encoding_rs::mem::decode_latin1(name).replace('\\', "/").into();
        }
    }
    format!("{} of its names are in an unknown encoding, and were read as Latin-1", names.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decoded, open};
    use super::*;
    use crate::data::formats::Opened;
    use crate::image::Picture;
    use std::io::Write;
    use std::path::Path;

    const SETS: [(&Encoding, [&str; 4]); 4] = [
        (SHIFT_JIS, ["写真/表紙の猫.png", "写真/予定表.png", "動物/ねこ１.png", "動物/ソファの犬.png"]),
        (GBK, ["照片/风景一.png", "照片/我的小猫.png", "动物/狗和猫.png", "动物/老虎.png"]),
        (EUC_KR, ["사진/고양이.png", "사진/강아지 하나.png", "동물/호랑이.png", "동물/우리집.png"]),
        (BIG5, ["照片/風景一.png", "照片/我的小貓.png", "動物/狗和貓.png", "動物/老虎與獅子.png"]),
    ];

    fn png(shade: u8) -> Vec<u8> {
        Picture::new(2, 2, 1, vec![shade; 4]).to_png().unwrap()
    }

    /// A zip of stored files whose names are these bytes, without the mark for UTF-8.
    fn zip_of(path: &Path, names: &[Vec<u8>]) {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (i, name) in names.iter().enumerate() {
            let bytes = png(i as u8);
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            let size = (bytes.len() as u32).to_le_bytes();
            let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc.sum().to_le_bytes(), &size, &size].concat();
            let lengths = [(name.len() as u16).to_le_bytes(), [0, 0]].concat();
            let start = (file.len() as u32).to_le_bytes();
            file.extend([b"PK\x03\x04", &common[..], &lengths, name, &bytes].concat());
            directory.extend([b"PK\x01\x02\x14\0", &common[..], &lengths, &[0; 10], &start, name].concat());
        }
        let (count, size, start) = (names.len() as u16, directory.len() as u32, file.len() as u32);
        let end = [
            &b"PK\x05\x06\0\0\0\0"[..],
            &count.to_le_bytes(),
            &count.to_le_bytes(),
            &size.to_le_bytes(),
            &start.to_le_bytes(),
            &[0, 0],
        ];
        file.extend([directory, end.concat()].concat());
        std::fs::File::create(path).unwrap().write_all(&file).unwrap();
    }

    fn tar_of(path: &Path, names: &[Vec<u8>]) {
        let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
        for (i, name) in names.iter().enumerate() {
            let bytes = png(i as u8);
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap();
    }

    fn named(opened: &Opened) -> Vec<(String, u8)> {
        let mut all: Vec<_> = (0..opened.pictures.len().unwrap())
            .map(|i| (opened.pictures.name(i), decoded(opened, i).pixels()[0]))
            .collect();
        all.sort_by_key(|(_, shade)| *shade);
        all
    }

    #[test]
    fn names_of_east_asian_machines_are_readable_in_zips_and_tars() {
        let place = tempfile::tempdir().unwrap();
        for (encoding, names) in SETS {
            let bytes: Vec<_> = names.iter().map(|name| encoding.encode(name).0.into_owned()).collect();
            let [zip, tar] = ["a.zip", "a.tar"].map(|name| place.path().join(format!("{}-{name}", encoding.name())));
            zip_of(&zip, &bytes);
            tar_of(&tar, &bytes);
            for path in [zip, tar] {
                let opened = open(&path).unwrap();
                let expected: Vec<_> = names.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), i)).collect();
                assert_eq!(named(&opened), expected, "{}", path.display());
                assert!(opened.notes.iter().any(|note| note.contains(encoding.name())), "{:?}", opened.notes);
                let mut classes: Vec<_> = names.iter().map(|name| name.split('/').next().unwrap().to_owned()).collect();
                classes.dedup();
                classes.sort();
                assert_eq!(opened.labels.names(), classes);
            }
        }
    }

    #[test]
    fn names_in_unicode_need_no_mark_and_unknown_ones_stay_apart() {
        let place = tempfile::tempdir().unwrap();
        let [zip, tar] = ["a.zip", "a.tar"].map(|name| place.path().join(name));
        zip_of(&zip, &["猫.png", "caf\u{e9}.png"].map(|name| name.as_bytes().to_vec()));
        let opened = open(&zip).unwrap();
        assert_eq!(named(&opened), [("猫.png".to_owned(), 0), ("caf\u{e9}.png".to_owned(), 1)]);
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        // What a zip without a mark means by the book: code page 437.
        zip_of(&zip, &[b"caf\x82.png".to_vec(), b"\x9a.png".to_vec()]);
        assert_eq!(named(&open(&zip).unwrap()), [("caf\u{e9}.png".to_owned(), 0), ("\u{dc}.png".to_owned(), 1)]);
        tar_of(&tar, &[b"caf\xe9.png".to_vec(), b"caf\xe8.png".to_vec()]);
        assert_eq!(named(&open(&tar).unwrap()), [("caf\u{e9}.png".to_owned(), 0), ("caf\u{e8}.png".to_owned(), 1)]);
    }
}
