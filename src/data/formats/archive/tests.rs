//! Tests of archives: listing, reading, and damaged files.

use super::super::tests::{damages, survives};
use super::*;
use proptest::prelude::*;
use std::io::Write;
use zip::{CompressionMethod, write::SimpleFileOptions};

fn zip_of(path: &Path, method: CompressionMethod, files: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn wrong_checksum_in_a_zip_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.zip");
    zip_of(&path, CompressionMethod::Stored, &[("a.png", b"some bytes of a picture")]);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"some").unwrap();
    bytes[at] = b'S';
    std::fs::write(&path, bytes).unwrap();
    let ArchiveIndex { file, entries, .. } = index(&path, &mut SkipTally::default()).unwrap();
    assert!(read(&file, &entries[0]).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn pictures_of_any_name_are_listed_and_other_files_are_counted() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.zip");
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0; 64]].concat();
    let files: [(&str, &[u8]); 6] = [
        ("set/1.png", &png),
        ("set/2", &png),
        ("set/notes", b"a text that is longer than the first bytes of a picture"),
        ("set/3.avif", b"another format, of as many bytes as it takes to know"),
        ("set/@eaDir/1.png/thumb.png", &png),
        ("other/4.heic", &png),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        zip_of(&path, method, &files);
        let opened = open(&path.join("set")).unwrap();
        let names: Vec<_> = (0..2).map(|i| opened.pictures.name(i)).collect();
        assert_eq!((opened.pictures.len(), names), (Some(2), vec!["set/1.png".to_owned(), "set/2".to_owned()]));
        assert!(opened.notes[0].starts_with("set/2 is a picture by its first bytes"), "{:?}", opened.notes);
        let skipped: Vec<String> = opened.pictures.skipped().iter().map(ToString::to_string).collect();
        assert_eq!(
            skipped,
            [
                "1 AVIF file left out: that format is not read (set/3.avif)",
                "1 hidden or system folder skipped (set/@eaDir)",
                "1 other file left out (without a known extension)",
            ]
        );
    }
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.zip");
    zip_of(&path, CompressionMethod::Deflated, &[("a.png", b"bytes"), ("b.png", b"bytes")]);
    let mut bytes = std::fs::read(&path).unwrap();
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[directory + 20..directory + 24].copy_from_slice(&0xf000_0000u32.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(open(&path).unwrap_err().to_string().contains("a.zip"));
    assert!(check_bounds(u64::MAX, 1, 10).is_err());
}

#[test]
fn later_of_equal_names_in_a_tar_counts() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.tar");
    let mut tar = tar::Builder::new(File::create(&path).unwrap());
    for bytes in [b"early", b"later"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        tar.append_data(&mut header, "./a.png", bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
    let ArchiveIndex { file, entries, .. } = index(&path, &mut SkipTally::default()).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(&*entries[0].name, "a.png");
    assert_eq!(read(&file, &entries[0]).unwrap(), b"later");
}

#[test]
fn cached_tar_list_is_used_until_the_tar_changes() {
    let place = tempfile::tempdir().unwrap();
    let (path, cache) = (place.path().join("a.tar"), ListCache::at(&place.path().join("cache")));
    let write = |classes: [&str; 2], when: u64| {
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        for (name, bytes) in [("1.cls", classes[0]), ("1.png", "one"), ("2.cls", classes[1]), ("2.png", "two")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_bytes()).unwrap();
        }
        let when = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(when);
        tar.into_inner().unwrap().set_modified(when).unwrap();
    };
    let lists = || std::fs::read_dir(place.path().join("cache")).map_or(0, Iterator::count);
    let contents = || {
        let opened = open_with(&path, &cache).unwrap();
        let bytes = |i| match opened.pictures.read(i, 0) {
            Ok(PictureData::Encoded(bytes)) => (opened.pictures.name(i), bytes, opened.labels.class(i)),
            _ => panic!("it holds whole files"),
        };
        (opened.labels.names().to_vec(), [bytes(0), bytes(1)])
    };
    write(["cat", "dog"], 1);
    let first = contents();
    assert_eq!(first.1[1], ("2.png".to_owned(), b"two".to_vec(), Some(1)));
    assert_eq!(lists(), 1);
    assert_eq!(contents(), first);
    // The cached list is used, since a file of other contents has the same size and time.
    write(["rat", "dog"], 1);
    assert_eq!(contents(), first);
    write(["rat", "dog"], 2);
    assert_eq!(contents().0, ["dog", "rat"]);
    assert_eq!(lists(), 1);
}

#[test]
fn zip_is_listed_as_by_the_zip_crate() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    zip.set_comment("packed for a test").unwrap();
    let options = SimpleFileOptions::default();
    zip.add_directory("b.png", options).unwrap();
    let names = ["z/\u{fc}.png", "a\\1.png", "notes.txt", "z/2.png"];
    for (name, method) in
        names.into_iter().zip([CompressionMethod::Stored, CompressionMethod::Deflated].into_iter().cycle())
    {
        zip.start_file(name, options.compression_method(method).large_file(name == "z/2.png")).unwrap();
        zip.write_all(name.as_bytes()).unwrap();
    }
    zip.add_symlink("link.png", "z/2.png", options).unwrap();
    zip.finish().unwrap();
    let ArchiveIndex { file, entries, .. } = index(&path, &mut SkipTally::default()).unwrap();
    assert!(zip_directory::list(&file).unwrap().is_some(), "it is one of the usual ones");
    let contents: Vec<_> = entries.iter().map(|entry| (&*entry.name, read(&file, entry).unwrap())).collect();
    let expected = [("a/1.png", "a\\1.png"), ("z/2.png", "z/2.png"), ("z/\u{fc}.png", "z/\u{fc}.png")];
    assert_eq!(contents, expected.map(|(name, bytes)| (name, bytes.as_bytes().to_vec())));
    // With bytes before the archive, positions are shifted, and the crate corrects them.
    let bytes = [&b"before it"[..], &std::fs::read(&path).unwrap()].concat();
    std::fs::write(&path, bytes).unwrap();
    let ArchiveIndex { file, entries, .. } = index(&path, &mut SkipTally::default()).unwrap();
    assert!(zip_directory::list(&file).unwrap().is_none());
    assert_eq!(
        entries.iter().map(|entry| read(&file, entry).unwrap()).collect::<Vec<_>>(),
        expected.map(|e| e.1.as_bytes().to_vec())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_zip_is_refused_or_read(damage in damages()) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.zip");
        zip_of(&path, CompressionMethod::Stored, &[("a/1.png", b"P5 1 1 255\n\x07"), ("b/2.png", b"P5 1 1 255\n\x09")]);
        survives("a.zip", &std::fs::read(&path).unwrap(), &damage)?;
    }
}
