//! Picture files as users have them: truncated, rotated, of high bit depth, named by other systems.

use std::fs;
use std::path::Path;

use zscape::image::Picture;

use super::support::{json, text, zscape};

/// A 16x16 picture that is not flat.
fn picture(shade: u8) -> Vec<u8> {
    Picture::new(16, 16, 3, (0..768u32).map(|i| (i * i % 251) as u8 ^ shade).collect()).to_png().unwrap()
}

fn output(arguments: &[&str], code: i32) -> String {
    let output = zscape(arguments).assert().code(code).get_output().clone();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A TIFF of 20x20 pixels in tiles of 16x16, whose colors lie in planes: 40, 80 and 120.
fn planar() -> Vec<u8> {
    let long = |number: u32| number.to_le_bytes();
    let mut file = [&b"II*\0"[..], &long(8 + 3072 + 102)].concat();
    (0..12).for_each(|tile| file.extend([40 * (tile / 4 + 1); 256]));
    (0..12).for_each(|tile| file.extend(long(8 + tile * 256)));
    (0..12).for_each(|_| file.extend(long(256)));
    file.extend([8, 0, 8, 0, 8, 0, 11, 0]);
    let tags = [(256, 1, 20), (257, 1, 20), (258, 3, 3176), (259, 1, 1), (262, 1, 2), (277, 1, 3), (284, 1, 2)];
    let tiles = [(322, 1, 16), (323, 1, 16), (324, 12, 3080), (325, 12, 3128)];
    for (tag, count, value) in tags.into_iter().chain(tiles) {
        let kind: u16 = if tag == 258 { 3 } else { 4 };
        file.extend([&u16::to_le_bytes(tag)[..], &kind.to_le_bytes(), &long(count), &long(value)].concat());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn project_reads_every_picture_or_names_it_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let out = path("out.png");
    let project = |picture: &Path| {
        let picture = text(picture).to_owned();
        let mut arguments = ["project", "--model", "bundled:faces", "--device", "cpu"].map(str::to_owned).to_vec();
        arguments.extend(["--steps", "1", "--restarts", "1", "--out", text(&out), "--picture"].map(str::to_owned));
        arguments.push(picture);
        arguments
    };
    let run = |picture: &Path, code: i32| {
        let arguments = project(picture);
        output(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    fs::write(path("planes.tif"), planar()).unwrap();
    let summary = run(&path("planes.tif"), 0);
    assert!(!summary.contains("panicked") && summary.contains("enlarged from 20x20"), "{summary}");
    fs::write(path("deep.png"), {
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(64, 64, |x, _| image::Luma([x as u16 * 64]));
        let mut bytes = Vec::new();
        let deep = image::DynamicImage::ImageLuma16(deep);
        deep.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
        bytes
    })
    .unwrap();
    let summary = run(&path("deep.png"), 0);
    assert!(summary.contains("16-bit values are taken as 0 (black) to 4095 (white)"), "{summary}");

    let jpeg = include_bytes!("../jpegs/half.jpg");
    for (name, bytes, said) in [
        ("cut.jpg", &jpeg[..jpeg.len() - 40], "ends early"),
        ("cut.png", &picture(1)[..400], "ends early"),
        ("page.png", b"<!DOCTYPE html><html></html>", "web page"),
        ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ] {
        fs::write(path(name), bytes).unwrap();
        let summary = run(&path(name), 1);
        assert!(summary.contains(name) && summary.contains(said) && !summary.contains("panicked"), "{summary}");
    }
}

#[test]
fn file_names_in_other_encodings_are_listed_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let [set, list, run] = ["set.tar", "list.csv", "run"].map(|name| folder.path().join(name));
    // In Shift-JIS; the first two are the same picture.
    let names: [&[u8]; 6] = [
        b"\x8e\xca\x90^/\x95\\\x8e\x86\x82\xcc\x94L.png",
        b"\x8e\xca\x90^/\x97\\\x92\xe8\x95\\.png",
        b"\x93\xae\x95\xa8/\x82\xcb\x82\xb1.png",
        b"\x93\xae\x95\xa8/\x8c\xa2.png",
        b"\x93\xae\x95\xa8/\x83\\\x83t\x83@.png",
        b"\x8e\xca\x90^/\x94L.png",
    ];
    let mut tar = tar::Builder::new(fs::File::create(&set).unwrap());
    for (i, name) in (0..).zip(names) {
        let bytes = picture(if i < 2 { 0 } else { i * 40 });
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
    let dedup = ["dedup", "--data", text(&set), "--steps", "2", "--radius", "0", "--list", text(&list)];
    json(&mut zscape(&[&dedup[..], &["--json"]].concat()));
    let listed = fs::read_to_string(&list).unwrap();
    assert!(listed.contains("写真/表紙の猫.png") && listed.contains("写真/予定表.png"), "{listed}");
    let train = ["train", "--device", "cpu", "--size", "16", "--base", "4", "--batch", "4", "--steps", "1"];
    let rest = ["--data", text(&set), "--run", text(&run), "--skip", text(&list)];
    let summary = output(&[&train[..], &rest].concat(), 0);
    assert!(
        summary.contains("Shift_JIS") && summary.contains("skipped 1 pictures of the run's skip list"),
        "{summary}"
    );
    assert!(summary.contains("写真") && summary.contains("動物"), "{summary}");
}
