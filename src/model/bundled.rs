//! Models that the program carries: trained by itself, see `assets/README.md`.

use std::path::Path;

use burn::tensor::Device;

use super::{Model, ModelError};

/// What the name of a bundled model begins with where a file's path could stand.
const PREFIX: &str = "bundled:";

/// Names and bytes of the bundled models.
const BUNDLED: [(&str, &[u8]); 2] = [
    ("rooms", include_bytes!("../../assets/rooms.safetensors")),
    ("faces", include_bytes!("../../assets/faces.safetensors")),
];

/// The names of all bundled models, as [`Model::open`] takes them: `bundled:rooms`.
pub fn bundled() -> impl Iterator<Item = String> {
    BUNDLED.iter().map(|(name, _)| format!("{PREFIX}{name}"))
}

/// The bundled model that `path` names, if it names one.
pub(super) fn open(path: &Path, device: &Device) -> Option<Result<Model, ModelError>> {
    let name = path.to_str()?.strip_prefix(PREFIX)?;
    let found = BUNDLED.iter().find(|(bundled, _)| *bundled == name);
    Some(match found {
        Some((_, bytes)) => Model::from_bytes(bytes, path, device),
        None => Err(ModelError::NotBundled { name: name.to_owned() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_model_opens_and_others_are_named() {
        for name in bundled() {
            assert_eq!(Model::open(Path::new(&name), &Device::flex()).unwrap().config().size, 64);
        }
        let error = Model::open(Path::new("bundled:cats"), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("cats") && error.to_string().contains("rooms"), "{error}");
    }
}
