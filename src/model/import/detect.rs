//! File detection: opens PyTorch files, and explains what other files are (other formats, or no models at all) and what
//! to do.

use fs_err::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::ImportError;
use super::pickle::TorchPickle;
use super::pytorch::TorchFile;

/// Advice for most files.
pub(super) const STATE_DICT: &str =
    "save the generator's weights with torch.save(netG.state_dict(), \"netG.pth\") and open that";
/// Advice for TensorFlow's and Keras's files.
const ARRAYS: &str = "save the generator's arrays from Python instead, one .npy file for each of model.get_weights(), or as safetensors in \
     PyTorch's shapes ([in, out, height, width])";
/// Bytes at the beginning of a file that are inspected.
const SIGNATURE_BYTES: u64 = 4096;
/// Maximum bytes of a pickle that are read to find its classes.
const MAX_PICKLE: u64 = 64 << 20;

/// Opens a file in one of PyTorch's formats.
///
/// # Errors
/// [`ImportError`] with what the file is instead.
pub(super) fn open_pytorch(path: &Path) -> Result<TorchFile, ImportError> {
    let is =
        |kind: &str, advice| Err(ImportError::Unsupported { path: path.to_owned(), kind: kind.to_owned(), advice });
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(SIGNATURE_BYTES).read_to_end(&mut start)?;
    let text = String::from_utf8_lossy(&start).to_ascii_lowercase();
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if start.is_empty() {
        return is("an empty file", "copy or download it again");
    }
    if begins.starts_with("version https://git-lfs") {
        return is(
            "a Git LFS pointer instead of the file itself",
            "fetch the file with git lfs pull, or download it from the repository's page",
        );
    }
    if begins.starts_with("<!doctype html") || begins.starts_with("<html") || begins.starts_with("<?xml") {
        return is(
            "a web page that was saved instead of the file",
            "download the file itself (the page's \"raw\" or \"download\" link)",
        );
    }
    if start.starts_with(b"\x89HDF\r\n\x1a\n") {
        return is("an HDF5 file, as Keras and TensorFlow save models", ARRAYS);
    }
    if name == "checkpoint" && begins.starts_with("model_checkpoint_path")
        || name.ends_with(".index")
        || name.contains(".data-0000")
        || name.ends_with(".meta")
    {
        return is("a part of a TensorFlow checkpoint", ARRAYS);
    }
    if name.ends_with(".pb") {
        return is("a TensorFlow graph", ARRAYS);
    }
    if name.ends_with(".onnx") || is_onnx(&start) {
        return is("an ONNX graph, which zscape can write but not read", STATE_DICT);
    }
    if start.starts_with(b"\x1f\x8b") {
        return is("a gzip archive", "unpack it first");
    }
    if start.starts_with(b"7z\xbc\xaf\x27\x1c") || start.starts_with(b"Rar!") {
        return is("a packed archive", "unpack it first");
    }
    if start.starts_with(b"PK") {
        return open_zip(path);
    }
    if let Some(torch) = TorchFile::legacy(path, &start)? {
        return Ok(torch);
    }
    if start.get(257..262) == Some(b"ustar") {
        return open_tar(path);
    }
    if matches!(start[0], 0x80 | b'(' | b'}' | b']' | b'c') {
        return explain_pickle(path);
    }
    if start.starts_with(b"\x7fELF") || start.starts_with(b"MZ") {
        return is("a program", STATE_DICT);
    }
    if let Ok(format) = image::guess_format(&start) {
        let kind = format!("a picture ({})", format.extensions_str().first().unwrap_or(&"image"));
        return is(&kind, "name a model file; pictures are named with --data or --picture");
    }
    if begins.starts_with('{') || begins.starts_with('[') {
        return is("a JSON text", STATE_DICT);
    }
    Err(ImportError::Unknown { path: path.to_owned() })
}

/// Whether a file begins like an ONNX message: version, then the producer's name.
fn is_onnx(start: &[u8]) -> bool {
    matches!(start, [0x08, version, 0x12, length, ..] if *version < 32 && usize::from(*length) < 64)
        && start
            .windows(4)
            .any(|window| window == b"onnx" || window == b"torc" || window == b"tf2o" || window == b"zsca")
}

/// Opens a PyTorch zip, or explains another zip.
fn open_zip(path: &Path) -> Result<TorchFile, ImportError> {
    let is =
        |kind: &str, advice| Err(ImportError::Unsupported { path: path.to_owned(), kind: kind.to_owned(), advice });
    let mut zip = match ZipArchive::new(File::open(path)?) {
        Ok(zip) => zip,
        // A zip's directory is at its end, so a truncated file fails here.
        Err(error) => {
            let reason = error.to_string();
            return Err(ImportError::Damaged { path: path.to_owned(), format: "a zip, as PyTorch writes", reason });
        }
    };
    let names: Vec<String> = zip.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
    let ends = |end: &str| names.iter().any(|name| name.ends_with(end));
    if let Some(pickle) = names.iter().filter(|name| name.ends_with("data.pkl")).min_by_key(|name| name.len()) {
        return TorchFile::zip(path, zip, pickle);
    }
    if names.iter().any(|name| name == "model.weights.h5") || ends("config.json") && ends(".h5") {
        return is("a Keras model (.keras)", ARRAYS);
    }
    if ends("saved_model.pb") {
        return is("a zip of a TensorFlow model", ARRAYS);
    }
    if !names.is_empty() && names.iter().all(|name| name.ends_with(".npy")) {
        return is("a NumPy archive (.npz)", "unpack it (it is a zip) and open the folder of .npy files");
    }
    let model =
        names.iter().find(|name| [".pth", ".pt", ".ckpt", ".safetensors"].iter().any(|end| name.ends_with(end)));
    if let Some(model) = model {
        return is(&format!("a zip with {model} in it"), "unpack it first");
    }
    if zip.is_empty() || zip.by_index(0).is_ok() {
        return is("a zip without a PyTorch pickle in it", STATE_DICT);
    }
    Err(ImportError::Unknown { path: path.to_owned() })
}

/// Opens one of PyTorch's oldest files, or explains another tar.
fn open_tar(path: &Path) -> Result<TorchFile, ImportError> {
    let mut names = Vec::new();
    if let Ok(file) = File::open(path)
        && let Ok(entries) = tar::Archive::new(file).entries()
    {
        names.extend(
            entries.flatten().take(64).filter_map(|entry| Some(entry.path().ok()?.to_string_lossy().into_owned())),
        );
    }
    let has = |wanted: &str| names.iter().any(|name| name.trim_start_matches("./") == wanted);
    if has("storages") && has("pickle") {
        return TorchFile::tar(path);
    }
    Err(ImportError::Unsupported { path: path.to_owned(), kind: "a tar archive".to_owned(), advice: "unpack it first" })
}

/// Explains a pickle without tensor data, by the classes that it names.
fn explain_pickle(path: &Path) -> Result<TorchFile, ImportError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_PICKLE).read_to_end(&mut bytes))?;
    let named = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    let kind = if named("dnnlib") || named("torch_utils.persistence") || named("persistent_class") {
        "a StyleGAN network (a pickle that contains code)".to_owned()
    } else {
        match TorchPickle::read(&bytes, 0) {
            Ok(pickle) => {
                let class = pickle.classes().find(|class| !class.starts_with("collections.")).map(str::to_owned);
                let class = class.map_or_else(String::new, |class| format!(" of {class}"));
                format!("a Python pickle{class} without PyTorch tensors")
            }
            Err(super::pickle::PickleError::Damaged(reason)) if bytes[0] == 0x80 => {
                return Err(ImportError::Damaged { path: path.to_owned(), format: "a Python pickle", reason });
            }
            Err(_) => return Err(ImportError::Unknown { path: path.to_owned() }),
        }
    };
    let advice = if kind.contains("StyleGAN") { "zscape supports DCGANs only" } else { STATE_DICT };
    Err(ImportError::Unsupported { path: path.to_owned(), kind, advice })
}

/// Explains a folder that is another program's model; `None` if it is not recognized.
pub(super) fn explain_folder(path: &Path) -> Option<ImportError> {
    let is =
        |kind: &str| Some(ImportError::Unsupported { path: path.to_owned(), kind: kind.to_owned(), advice: ARRAYS });
    if path.join("saved_model.pb").is_file() || path.join("keras_metadata.pb").is_file() {
        return is("a TensorFlow model");
    }
    let entries = fs_err::read_dir(path).ok()?.flatten().take(1000);
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.iter().any(|name| name.ends_with(".index")) && names.iter().any(|name| name.contains(".data-0000")) {
        return is("a TensorFlow checkpoint");
    }
    if let Some(found) =
        names.iter().find(|name| [".pth", ".pt", ".ckpt", ".safetensors"].iter().any(|end| name.ends_with(end)))
    {
        return Some(ImportError::Unsupported {
            path: path.to_owned(),
            kind: format!("a folder with {found} in it"),
            advice: "name that file",
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_for(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        open_pytorch(&path).unwrap_err().to_string()
    }

    #[test]
    fn other_kinds_of_files_are_identified_and_not_called_damaged() {
        for (name, bytes, word) in [
            ("a.pth", &b""[..], "an empty file"),
            ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS"),
            ("a.pth", b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
            ("a.h5", b"\x89HDF\r\n\x1a\nxxxxxxxx", "HDF5"),
            ("model.ckpt-3.index", b"\x00\x01abc", "TensorFlow checkpoint"),
            ("a.pkl", b"\x80\x03ctorch_utils.persistence\n_reconstruct_persistent_obj\n.", "StyleGAN"),
            ("a.pkl", b"\x80\x03cmain\nNet\n)R.", "pickle of main.Net"),
            ("a.onnx", b"\x08\x08\x12\x07pytorch", "ONNX"),
            ("a.pth", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture (png)"),
        ] {
            let error = error_for(name, bytes);
            assert!(error.contains(word) && !error.contains("damaged"), "{word}: {error}");
        }
        assert!(error_for("a.pth", b"PK\x03\x04 cut").contains("damaged"));
        assert!(error_for("a.pkl", b"\x80\x02}q").contains("damaged"));
    }
}
