//! Data sets in their own formats train as they are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::image::Picture;

use super::support::{DroppedFile, stderr, until, window};

const PICTURES: u8 = 6;

fn train(data: &Path, run: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
    command.args(["train", "--device", "cpu", "--size", "16", "--base", "4", "--batch", "4", "--steps", "1"]);
    command.arg("--data").arg(data).arg("--run").arg(run).timeout(std::time::Duration::from_secs(120));
    command
}

/// The bytes of picture `i`, planes of 32 x 32.
fn planes(i: u8) -> Vec<u8> {
    (0..3072u32).map(|p| (p % 251) as u8 ^ (i * 40)).collect()
}

fn png(place: &Path, i: u8) -> Vec<u8> {
    let path = place.join("picture.png");
    Picture::new(32, 32, 3, planes(i)).write_png(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

fn npy(element: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape}), }}");
    let text = format!("{text:<117}\n");
    [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), values].concat()
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A CIFAR batch as the authors' Python 2 pickled it.
fn pickle(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(".to_vec();
    (0..PICTURES).for_each(|i| bytes.extend([b'K', i % 2]));
    bytes.extend(
        b"eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07",
    );
    bytes.extend(
        [b"(K\x01K", &[PICTURES][..], b"M\x00\x0c\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09"].concat(),
    );
    bytes.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    bytes.extend((pixels.len() as u32).to_le_bytes());
    [&bytes, pixels, b"tbu."].concat()
}

/// A set of each kind, of six pictures in two classes.
fn sets(place: &Path) -> Vec<PathBuf> {
    let all: Vec<u8> = (0..PICTURES).flat_map(planes).collect();
    let labels: Vec<u8> = (0..PICTURES).map(|i| i % 2).collect();
    let mut sets = Vec::new();
    let mut write = |name: &str, bytes: Vec<u8>| {
        fs::write(place.join(name), bytes).unwrap();
        sets.push(place.join(name));
    };
    let records = |i: u8| [vec![i % 2], planes(i)].concat();
    write("data_batch_1.bin", (0..PICTURES).flat_map(records).collect());
    write("data_batch_1", pickle(&all));
    let idx: Vec<u8> = [&[0, 0, 8, 3, 0, 0, 0, PICTURES, 0, 0, 0, 32, 0, 0, 0, 96][..], &all].concat();
    fs::write(place.join("train-labels-idx1-ubyte"), [&[0, 0, 8, 1, 0, 0, 0, PICTURES][..], &labels].concat()).unwrap();
    write("train-images-idx3-ubyte", idx);
    let sample = |i: u8| [(format!("{i}.cls"), vec![b'0' + i % 2]), (format!("{i}.png"), png(place, i))];
    write("set-000000.tar", tar(&(0..PICTURES).flat_map(sample).collect::<Vec<_>>()));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("x", npy("|u1", "6, 3, 32, 32", &all)), ("y", npy("|u1", "6,", &labels))] {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    write("set.npz", zip.finish().unwrap().into_inner());
    sets
}

#[test]
fn every_format_trains_and_a_truncated_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (number, set) in sets(folder.path()).into_iter().enumerate() {
        let run = folder.path().join(format!("run-{number}"));
        let said = stderr(&mut train(&set, &run), 0);
        assert!(said.contains("training on 6 pictures in 2 classes: 0, 1"), "{}: {said}", set.display());
        let bytes = fs::read(&set).unwrap();
        fs::write(&set, &bytes[..bytes.len() * 3 / 5]).unwrap();
        let said = stderr(&mut train(&set, &folder.path().join("never")), 1);
        let name = set.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name) && !said.contains("panicked"), "{said}");
    }
    assert!(!folder.path().join("never").exists());
}

#[test]
fn the_inferred_range_of_floats_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = (0..6 * 256).flat_map(|i| ((i % 256) as f32 / 127.5 - 1.0).to_le_bytes()).collect();
    let path = folder.path().join("set.npy");
    fs::write(&path, npy("<f4", "6, 16, 16", &values)).unwrap();
    let said = stderr(&mut train(&path, &folder.path().join("run")), 0);
    assert!(said.contains("-1 (black) to 1 (white)"), "{said}");
}

#[test]
fn a_dropped_set_shows_its_classes_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for set in sets(folder.path()) {
        let mut harness = window(Start { data: Some("synth:rooms".into()), ..Start::default() });
        harness.step();
        harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(set)));
        harness.step();
        until(&mut harness, "the classes", |h| {
            h.query_by_label_contains("6 pictures in 2 classes: 0, 1").is_some()
                && h.query_by_label("a look at the data").is_some()
        });
    }
}
