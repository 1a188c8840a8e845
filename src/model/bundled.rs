//! Models bundled with the program, trained with zscape itself (`assets/README.md`): `bundled:rooms`, `bundled:faces`.

use std::path::Path;

use burn::tensor::Device;

use super::{Model, ModelError};

/// Prefix of a bundled model's name where a path is expected.
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

/// Opens the bundled model that `path` names; `None` if `path` lacks the prefix.
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
    fn every_bundled_model_opens_and_the_error_for_an_unknown_one_lists_them() {
        for name in bundled() {
            assert_eq!(Model::open(Path::new(&name), &Device::flex()).unwrap().config().size, 64);
        }
        let error = Model::open(Path::new("bundled:cats"), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("cats") && error.to_string().contains("rooms"), "{error}");
    }
}
