//! What a file is by its name: a picture that is read, one that is not, something that systems leave behind, or none of these.

use std::path::Path;

use crate::data::left_out::{Reason, Tally};
use crate::sniff;

/// The ends of names that are taken for pictures; what a file really is, its first bytes decide.
const READ: [&str; 15] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "pam"];

/// Formats of pictures, and of what people take for pictures, that are not read, with the ends of their names.
const UNREAD: [(&str, &[&str]); 21] = [
    ("AVIF", &["avif", "avifs"]),
    ("HEIC", &["heic", "heif", "heics", "heifs", "hif"]),
    ("JPEG XL", &["jxl"]),
    ("JPEG 2000", &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm"]),
    ("JPEG XR", &["jxr", "wdp", "hdp"]),
    ("SVG", &["svg", "svgz"]),
    ("Photoshop", &["psd", "psb"]),
    (
        "camera raw",
        &[
            "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "dng", "raf", "orf", "rw2", "rwl", "pef", "srw",
            "raw", "3fr", "fff", "iiq", "mef", "mos", "mrw", "kdc", "dcr", "dcs", "erf", "x3f", "gpr", "bay",
        ],
    ),
    (
        "drawing program",
        &[
            "xcf",
            "kra",
            "ora",
            "clip",
            "csp",
            "procreate",
            "sai",
            "sai2",
            "mdp",
            "psp",
            "pspimage",
            "afphoto",
            "afdesign",
            "ai",
            "cdr",
            "sketch",
            "fig",
            "pdn",
            "aseprite",
            "ase",
        ],
    ),
    ("PDF or PostScript", &["pdf", "eps", "ps"]),
    ("Targa", &["tga", "icb", "vda", "vst"]),
    ("OpenEXR", &["exr"]),
    ("Radiance HDR", &["hdr"]),
    ("DirectDraw or KTX", &["dds", "ktx", "ktx2"]),
    ("icon", &["ico", "cur", "icns"]),
    ("QOI", &["qoi", "ff", "farbfeld"]),
    ("PFM", &["pfm"]),
    ("medical or scientific", &["dcm", "dicom", "nii", "fits", "fit", "svs", "czi", "nd2", "mrc"]),
    ("old bitmap", &["pcx", "sgi", "ras", "xbm", "xpm", "wmf", "emf", "pict", "pct", "apng", "mng", "jng", "wbmp"]),
    (
        "video",
        &["mp4", "m4v", "mov", "avi", "mkv", "webm", "wmv", "flv", "mpg", "mpeg", "mts", "m2ts", "3gp", "ogv", "gifv"],
    ),
    ("unfinished download", &["part", "crdownload", "download", "partial"]),
];

/// Ends of names that are known for something else than pictures, so that the file need not be looked into.
const OTHER: [&str; 52] = [
    "txt",
    "md",
    "rst",
    "html",
    "htm",
    "xml",
    "json",
    "jsonl",
    "ndjson",
    "yaml",
    "yml",
    "toml",
    "ini",
    "cfg",
    "csv",
    "tsv",
    "xls",
    "xlsx",
    "doc",
    "docx",
    "rtf",
    "log",
    "cls",
    "caption",
    "py",
    "pyc",
    "ipynb",
    "sh",
    "bat",
    "js",
    "css",
    "m",
    "mat",
    "npy",
    "npz",
    "pkl",
    "pickle",
    "pt",
    "pth",
    "ckpt",
    "safetensors",
    "h5",
    "hdf5",
    "bin",
    "db",
    "mdb",
    "parquet",
    "zip",
    "tar",
    "gz",
    "tgz",
    "7z",
];

/// What systems and other programs leave in folders, besides what is hidden by a dot.
const JUNK: [&str; 17] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "#snapshot",
    "@Recycle",
    "@Recently-Snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "lost+found",
    "__pycache__",
    "Thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "Icon\r",
    "Network Trash Folder",
];

/// Whether one part of a path is hidden, or left there by a system or another program.
pub(super) fn is_junk(part: &str) -> bool {
    let hidden = part.starts_with('.') && !matches!(part, "." | "..");
    hidden || JUNK.iter().any(|junk| junk.eq_ignore_ascii_case(part))
}

fn ending(name: &str) -> Option<&str> {
    Path::new(name).extension().and_then(|end| end.to_str())
}

/// Whether a path inside a set is a picture's by its ending, and neither hidden nor another program's.
pub(super) fn is_picture(name: &str) -> bool {
    let known = ending(name).is_some_and(|end| READ.iter().any(|known| known.eq_ignore_ascii_case(end)));
    known && !name.split('/').any(is_junk)
}

/// Whether a file that is not named as a picture may still be one, so that its first bytes have to say.
pub(super) fn may_be_picture(name: &str) -> bool {
    if name.split('/').any(is_junk) {
        return false;
    }
    let Some(end) = ending(name).map(str::to_ascii_lowercase) else { return true };
    let end = end.as_str();
    !READ.contains(&end) && !OTHER.contains(&end)
}

/// Bytes by which a picture is known.
pub(super) const FIRST_BYTES: usize = 32;

/// Whether a file begins as a picture of a format that is read. Two letters, as netpbm's files have them, prove nothing, and what
/// is named as another format may begin as TIFF: camera raw does.
pub(super) fn begins_a_picture(name: &str, first: &[u8]) -> bool {
    let end = ending(name).map(str::to_ascii_lowercase);
    let unread = end.is_some_and(|end| UNREAD.iter().any(|(_, ends)| ends.contains(&end.as_str())));
    let found = if first.len() == FIRST_BYTES { sniff::picture_format(first) } else { None };
    match found {
        None | Some(sniff::PictureFileFormat::Pnm) => false,
        Some(sniff::PictureFileFormat::Tiff) => !unread,
        Some(_) => true,
    }
}

/// What should be known where pictures were known by their first bytes alone.
pub(super) fn note_on(count: u64, first: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("{first} is not named as a picture that is read, but is one by its first bytes")),
        _ => Some(format!(
            "{count} files are not named as pictures that are read, but are some by their first bytes, such as {first}"
        )),
    }
}

/// Counts a file that is no picture of the set.
pub(super) fn pass_over(name: &str, tally: &mut Tally) {
    let mut at = 0;
    for part in name.split('/') {
        let end = at + part.len();
        if is_junk(part) {
            return match end == name.len() {
                true => tally.add(Reason::Junk, "files", name),
                false => tally.junk_folder(&name[..end]),
            };
        }
        at = end + 1;
    }
    let end = ending(name).map(str::to_ascii_lowercase);
    let unread = end.as_deref().and_then(|end| UNREAD.iter().find(|(_, ends)| ends.contains(&end)));
    match (unread, end) {
        (Some((format, _)), _) => tally.add(Reason::Format, format, name),
        (None, Some(end)) if end.len() <= 8 => tally.add(Reason::Other, &format!(".{end}"), name),
        (None, _) => tally.add(Reason::Other, "without a known ending", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_pictures_count() {
        for name in ["a.png", "b/A.JPEG", "c.tiff", "./a.png"] {
            assert!(is_picture(name), "{name}");
        }
        for name in ["labels.csv", "png", ".a.png", "__MACOSX/a.png", ".git/a.png", "a.png/b", "a/@eaDir/b.jpg/c.jpg"] {
            assert!(!is_picture(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_no_pictures_leaves_it_to_the_first_bytes() {
        for name in ["a", "b/photo.jpg_large", "c.png.1", "data_batch_1", "a.heic"] {
            assert!(may_be_picture(name), "{name}");
        }
        for name in ["a.png", "a.txt", ".a", "@eaDir/a"] {
            assert!(!may_be_picture(name), "{name}");
        }
        let begins = |start: &[u8]| begins_a_picture("a", &[start, &[0; FIRST_BYTES]].concat()[..FIRST_BYTES]);
        for start in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF\x10\0\0\0WEBP", b"II*\0"] {
            assert!(begins(start), "{start:?}");
        }
        for start in [&b"BMW is a car maker"[..], b"RIFF\x10\0\0\0WAVE", b"\x80\x02}q", b"P5 is no proof", b""] {
            assert!(!begins(start), "{start:?}");
        }
        assert!(!begins_a_picture("a", b"\x89PNG\r\n\x1a\n"), "it ends there");
        let raw = [b"II*\0".as_slice(), &[0; FIRST_BYTES]].concat();
        assert!(!begins_a_picture("a.NEF", &raw[..FIRST_BYTES]) && begins_a_picture("a.dat", &raw[..FIRST_BYTES]));
    }

    #[test]
    fn what_is_passed_over_is_sorted_by_what_it_is() {
        let mut tally = Tally::default();
        let names = [
            "a/1.AVIF",
            "a/1.heic",
            "b/2.Nef",
            "x.svg",
            "notes.txt",
            "a/notes.TXT",
            "LICENSE",
            "a/@eaDir/1.jpg/T.jpg",
            "a/@eaDir/2.jpg/T.jpg",
            "Thumbs.db",
            "._1.jpg",
            ".git/config",
        ];
        names.iter().for_each(|name| pass_over(name, &mut tally));
        let told: Vec<_> = tally.finish().into_iter().map(|g| (g.reason, g.kind, g.count, g.names.len())).collect();
        let expected = [
            (Reason::Format, "AVIF", 1, 1),
            (Reason::Format, "HEIC", 1, 1),
            (Reason::Format, "SVG", 1, 1),
            (Reason::Format, "camera raw", 1, 1),
            (Reason::Junk, "files", 2, 2),
            (Reason::Junk, "folders", 2, 2),
            (Reason::Other, ".txt", 2, 0),
            (Reason::Other, "without a known ending", 1, 0),
        ];
        assert_eq!(told, expected.map(|(reason, kind, count, names)| (reason, kind.to_owned(), count, names)));
    }
}
