//! Detection of the encoding of names in archives.
//!
//! Zips of older programs and tars of older systems have names in the encoding of their machine, which they do not
//! state. It is detected for all names of an archive together, since a single name is too short.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::archive::ArchiveEntry;

/// Encodings to detect. Western ones differ too little to be distinguished by a few names.
const KNOWN: [&Encoding; 6] = [SHIFT_JIS, GBK, EUC_KR, BIG5, EUC_JP, GB18030];

/// Minimal share of common characters to accept an encoding.
const COMMON: f64 = 0.8;

/// Non-ASCII names that are not marked as Unicode: index of the entry, and bytes.
pub(super) type RawNames = Vec<(usize, Vec<u8>)>;

/// The names that need decoding: all of them if one is not valid UTF-8, otherwise none. Names in another encoding may
/// be valid UTF-8 by chance, such as those in GBK that begin with its word for pictures.
pub(super) fn foreign(names: RawNames) -> RawNames {
    if names.iter().all(is_unicode) { RawNames::new() } else { names }
}

fn is_unicode((_, name): &(usize, Vec<u8>)) -> bool {
    std::str::from_utf8(name).is_ok()
}

/// The encoding of names, if it is a known one in which all of them are valid.
fn found(names: &RawNames) -> Option<&'static Encoding> {
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
    if let Some(known) = KNOWN.into_iter().find(|known| *known == guess) {
        return Some(known).filter(fits);
    }
    // The detector needs more than a few short names; then the share of common characters decides.
    let scored = KNOWN.into_iter().filter(fits).map(|known| (common(known, names), known));
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(share, _)| *share >= COMMON).map(|(_, known)| known)
}

/// The share of common characters among those of two bytes. One between two Latin letters does not count: its bytes
/// are more likely two accented letters.
fn common(encoding: &'static Encoding, names: &RawNames) -> f64 {
    let (mut good, mut all) = (0, 0);
    for (_, name) in names {
        let mut at = 0;
        while let Some(&first) = name.get(at) {
            if first < 0x80 {
                at += 1;
                continue;
            }
            all += 1;
            let second = name.get(at + 1).copied().unwrap_or(0);
            let is_common = match (first, second) {
                (0xa1..=0xdf, _) if encoding == SHIFT_JIS => {
                    at += 1;
                    continue;
                }
                // Kana, digits, and first-level kanji.
                (0x82, 0x4f..=0x58 | 0x9f..) | (0x83, 0x40..=0x96) | (0x88..=0x97, _) if encoding == SHIFT_JIS => true,
                (0xa4 | 0xa5 | 0xb0..=0xcf, 0xa1..) if encoding == EUC_JP => true,
                (0xb0..=0xd7, 0xa1..) if encoding == GBK => true,
                (0xb0..=0xc8, 0xa1..) if encoding == EUC_KR => true,
                (0xa4..=0xc6, _) if encoding == BIG5 => true,
                _ => false,
            };
            let letter = |at: Option<usize>| at.and_then(|at| name.get(at)).is_some_and(u8::is_ascii_alphabetic);
            let inside = letter(at.checked_sub(1)) && letter(Some(at + 2));
            good += usize::from(is_common && !inside);
            at += 2;
        }
    }
    if all == 0 { 0.0 } else { good as f64 / f64::from(all) }
}

/// Decodes the entries' names if their encoding is known. Returns a note.
pub(super) fn decode(entries: &mut [ArchiveEntry], names: &RawNames) -> Option<String> {
    let Some(encoding) = found(names) else {
        // Some of them may be UTF-8 after all.
        let others: RawNames = names.iter().filter(|name| !is_unicode(name)).cloned().collect();
        return if others.len() < names.len() { decode(entries, &others) } else { None };
    };
    for (which, name) in names {
        let (readable, _) = encoding.decode_without_bom_handling(name);
        if let Some(entry) = entries.get_mut(*which) {
            entry.name = readable.replace('\\', "/").into();
        }
    }
    Some(format!("{} names are not Unicode and were decoded as {}", names.len(), encoding.name()))
}

/// Decodes names of unknown encoding as Latin-1, which keeps different names different. Returns a note.
pub(super) fn escape(entries: &mut [ArchiveEntry], names: &RawNames) -> String {
    let mut count = 0;
    for (which, name) in names.iter().filter(|name| !is_unicode(name)) {
        if let Some(entry) = entries.get_mut(*which) {
            entry.name = encoding_rs::mem::decode_latin1(name).replace('\\', "/").into();
            count += 1;
        }
    }
    format!("{count} names have an unknown encoding and were decoded as Latin-1")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decoded, open};
    use super::*;
    use crate::data::formats::PictureSet;
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

    /// A zip of stored files with these names, without the UTF-8 flag.
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

    fn named(opened: &PictureSet) -> Vec<(String, u8)> {
        let mut all: Vec<_> = (0..opened.pictures.len().unwrap())
            .map(|i| (opened.pictures.name(i), decoded(opened, i).pixels()[0]))
            .collect();
        all.sort_by_key(|(_, shade)| *shade);
        all
    }

    #[test]
    fn east_asian_names_are_decoded_in_zips_and_tars() {
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
    fn few_short_names_are_enough_and_western_names_are_not_mistaken() {
        let of = |names: &[Vec<u8>]| found(&names.iter().cloned().enumerate().collect()).map(Encoding::name);
        for (encoding, names) in [
            (SHIFT_JIS, &["猫.png", "犬.png"][..]),
            (SHIFT_JIS, &["ねこ.png", "いぬ.png"]),
            (SHIFT_JIS, &["写真1.jpg"]),
            (GBK, &["照片/猫.jpg", "照片/狗.jpg"]),
            (EUC_KR, &["고양이.png", "개.png"]),
        ] {
            let bytes: Vec<_> = names.iter().map(|name| encoding.encode(name).0.into_owned()).collect();
            assert_eq!(of(&bytes), Some(encoding.name()), "{names:?}");
        }
        // Café, Größe, Übung and Mädchen in code page 437 and in Latin-1.
        for names in [
            [&b"caf\x82.png"[..], b"Gr\x94\xe1e.png"],
            [b"\x9abung.png", b"M\x84dchen.png"],
            [b"caf\xe9.png", b"Gr\xf6\xdfe.png"],
            [b"\xdcbung.png", b"M\xe4dchen.png"],
        ] {
            assert_eq!(of(&names.map(<[u8]>::to_vec)), None, "{names:?}");
        }
    }

    #[test]
    fn names_that_are_valid_utf8_by_chance_are_decoded_like_the_others() {
        let place = tempfile::tempdir().unwrap();
        let names = ["图片一/图片一.png", "小狗照片/小狗照片.png", "风景/风景.png"];
        let bytes = names.map(|name| GBK.encode(name).0.into_owned());
        assert!(std::str::from_utf8(&bytes[0]).is_ok() && std::str::from_utf8(&bytes[1]).is_err());
        let [zip, tar] = ["a.zip", "a.tar"].map(|name| place.path().join(name));
        zip_of(&zip, &bytes);
        tar_of(&tar, &bytes);
        for path in [zip, tar] {
            let opened = open(&path).unwrap();
            let expected: Vec<_> = names.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), i)).collect();
            assert_eq!(named(&opened), expected, "{}", path.display());
            assert!(opened.notes[0].starts_with("3 names"), "{:?}", opened.notes);
        }
    }

    #[test]
    fn utf8_names_need_no_flag_and_unknown_names_stay_distinct() {
        let place = tempfile::tempdir().unwrap();
        let [zip, tar] = ["a.zip", "a.tar"].map(|name| place.path().join(name));
        zip_of(&zip, &["猫.png", "caf\u{e9}.png"].map(|name| name.as_bytes().to_vec()));
        let opened = open(&zip).unwrap();
        assert_eq!(named(&opened), [("猫.png".to_owned(), 0), ("caf\u{e9}.png".to_owned(), 1)]);
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        // Without the flag, the specification says code page 437.
        zip_of(&zip, &[b"caf\x82.png".to_vec(), b"\x9a.png".to_vec()]);
        assert_eq!(named(&open(&zip).unwrap()), [("caf\u{e9}.png".to_owned(), 0), ("\u{dc}.png".to_owned(), 1)]);
        tar_of(&tar, &[b"caf\xe9.png".to_vec(), b"caf\xe8.png".to_vec()]);
        assert_eq!(named(&open(&tar).unwrap()), [("caf\u{e9}.png".to_owned(), 0), ("caf\u{e8}.png".to_owned(), 1)]);
    }
}
