//! Classification of files by name: pictures, unsupported pictures, files that systems leave behind, and others.

use std::path::Path;

use crate::data::skipped::{SkipReason, SkipTally};
use crate::extensions;
use crate::sniff;

/// Unsupported formats that users take for pictures, and their extensions.
const UNSUPPORTED: [(&str, &[&str]); 21] = [
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

/// Extensions of files that are not pictures, so that their contents need not be checked.
const NOT_PICTURES: [&str; 52] = [
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

/// What systems and other programs leave in folders, besides names with a leading dot.
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

/// Whether a component of a path is hidden, or left by a system or another program.
pub(super) fn is_junk(part: &str) -> bool {
    let hidden = part.starts_with('.') && !matches!(part, "." | "..");
    hidden || JUNK.iter().any(|junk| junk.eq_ignore_ascii_case(part))
}

fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension().and_then(|end| end.to_str())
}

/// Whether a path in a set is a picture by its extension, and not junk.
pub(super) fn is_picture(name: &str) -> bool {
    let known =
        extension(name).is_some_and(|end| extensions::PICTURES.iter().any(|known| known.eq_ignore_ascii_case(end)));
    known && !name.split('/').any(is_junk)
}

/// Whether a file without a picture's extension may be one, so that its first bytes have to be checked.
pub(super) fn may_be_unnamed_picture(name: &str) -> bool {
    if name.split('/').any(is_junk) {
        return false;
    }
    let Some(end) = extension(name).map(str::to_ascii_lowercase) else { return true };
    let end = end.as_str();
    !extensions::PICTURES.contains(&end) && !NOT_PICTURES.contains(&end)
}

/// Bytes needed to recognize a picture.
pub(super) const SIGNATURE_BYTES: usize = 32;

/// Whether a file has the signature of a supported picture. The two letters of netpbm files prove nothing, and some
/// unsupported formats, such as camera raw, begin like TIFF.
pub(super) fn starts_like_picture(name: &str, first: &[u8]) -> bool {
    let end = extension(name).map(str::to_ascii_lowercase);
    let unsupported = end.is_some_and(|end| UNSUPPORTED.iter().any(|(_, ends)| ends.contains(&end.as_str())));
    let found = if first.len() == SIGNATURE_BYTES { sniff::picture_format(first) } else { None };
    match found {
        None | Some(sniff::PictureFileFormat::Pnm) => false,
        Some(sniff::PictureFileFormat::Tiff) => !unsupported,
        Some(_) => true,
    }
}

/// A note on pictures that were recognized by their first bytes alone.
pub(super) fn unnamed_pictures_note(count: u64, first: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("{first} is a picture by its first bytes, though not by its name")),
        _ => {
            Some(format!("{count} files are pictures by their first bytes, though not by their names, such as {first}"))
        }
    }
}

/// Counts a file that is not a picture of the set.
pub(super) fn count_skipped(name: &str, tally: &mut SkipTally) {
    let mut at = 0;
    for part in name.split('/') {
        let end = at + part.len();
        if is_junk(part) {
            return match end == name.len() {
                true => tally.add(SkipReason::Junk, "files", name),
                false => tally.junk_folder(&name[..end]),
            };
        }
        at = end + 1;
    }
    let end = extension(name).map(str::to_ascii_lowercase);
    let unsupported = end.as_deref().and_then(|end| UNSUPPORTED.iter().find(|(_, ends)| ends.contains(&end)));
    match (unsupported, end) {
        (Some((format, _)), _) => tally.add(SkipReason::Format, format, name),
        (None, Some(end)) if end.len() <= 8 => tally.add(SkipReason::Other, &format!(".{end}"), name),
        (None, _) => tally.add(SkipReason::Other, "without a known extension", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_junk_files_are_not_pictures() {
        for name in ["a.png", "b/A.JPEG", "c.tiff", "./a.png"] {
            assert!(is_picture(name), "{name}");
        }
        for name in ["labels.csv", "png", ".a.png", "__MACOSX/a.png", ".git/a.png", "a.png/b", "a/@eaDir/b.jpg/c.jpg"] {
            assert!(!is_picture(name), "{name}");
        }
    }

    #[test]
    fn unknown_extension_leaves_the_decision_to_first_bytes() {
        for name in ["a", "b/photo.jpg_large", "c.png.1", "data_batch_1", "a.heic"] {
            assert!(may_be_unnamed_picture(name), "{name}");
        }
        for name in ["a.png", "a.txt", ".a", "@eaDir/a"] {
            assert!(!may_be_unnamed_picture(name), "{name}");
        }
        let begins =
            |start: &[u8]| starts_like_picture("a", &[start, &[0; SIGNATURE_BYTES]].concat()[..SIGNATURE_BYTES]);
        for start in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF\x10\0\0\0WEBP", b"II*\0"] {
            assert!(begins(start), "{start:?}");
        }
        for start in [&b"BMW is a car maker"[..], b"RIFF\x10\0\0\0WAVE", b"\x80\x02}q", b"P5 is no proof", b""] {
            assert!(!begins(start), "{start:?}");
        }
        assert!(!starts_like_picture("a", b"\x89PNG\r\n\x1a\n"), "it ends there");
        let raw = [b"II*\0".as_slice(), &[0; SIGNATURE_BYTES]].concat();
        assert!(
            !starts_like_picture("a.NEF", &raw[..SIGNATURE_BYTES])
                && starts_like_picture("a.dat", &raw[..SIGNATURE_BYTES])
        );
    }

    #[test]
    fn skipped_files_are_grouped_by_kind() {
        let mut tally = SkipTally::default();
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
        names.iter().for_each(|name| count_skipped(name, &mut tally));
        let groups: Vec<_> = tally.finish().into_iter().map(|g| (g.reason, g.kind, g.count, g.names.len())).collect();
        let expected = [
            (SkipReason::Format, "AVIF", 1, 1),
            (SkipReason::Format, "HEIC", 1, 1),
            (SkipReason::Format, "SVG", 1, 1),
            (SkipReason::Format, "camera raw", 1, 1),
            (SkipReason::Junk, "files", 2, 2),
            (SkipReason::Junk, "folders", 2, 2),
            (SkipReason::Other, ".txt", 2, 0),
            (SkipReason::Other, "without a known extension", 1, 0),
        ];
        assert_eq!(groups, expected.map(|(reason, kind, count, names)| (reason, kind.to_owned(), count, names)));
    }
}
