//! PyTorch state dicts that zscape exported. A record in them has the config, so that nothing needs to be inferred.

use fs_err::File;
use std::convert::Infallible;
use std::io::Read;
use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::super::export::{discriminator_path, pytorch};
use super::super::layer::{Layer, Parameter, ParameterRole, ParameterSource};
use super::super::{Discriminator, Generator, ModelConfig, TensorFile};
use super::{ImportError, TensorSource};

/// Maximum length of a note in bytes; real ones are much shorter.
const MAX_NOTE: u64 = 1 << 20;

/// Gives parameters with names and shapes but without values.
struct PlaceholderParameters(Device);

impl ParameterSource for PlaceholderParameters {
    type Error = Infallible;

    fn parameter(&mut self, name: String, shape: Vec<usize>, _: ParameterRole) -> Result<Parameter, Infallible> {
        Ok(Parameter { name, shape, value: Tensor::zeros([1], &self.0) })
    }
}

/// Reads an exported generator and the discriminator's file beside it; `None` if zscape did not write `path`. The
/// result has zscape's tensor names and the note.
///
/// # Errors
/// [`ImportError`] naming the file and what is wrong with it.
pub(in crate::model) fn read_exported(path: &Path) -> Result<Option<TensorFile>, ImportError> {
    let Some(note) = note(path) else { return Ok(None) };
    let damaged = |reason: String| ImportError::Damaged { path: path.to_owned(), format: "PyTorch", reason };
    let config = config(&note).map_err(|error| damaged(format!("its {} is invalid: {error}", pytorch::NOTE)))?;
    config.check().map_err(|reason| ImportError::Config { path: path.to_owned(), reason })?;
    let mut placeholders = PlaceholderParameters(Device::flex());
    let Ok(generator) = Generator::build(&config, &mut placeholders);
    let Ok(discriminator) = Discriminator::build(&config, &mut placeholders);
    let mut file = TensorFile::default();
    let mut take = |path: &Path, network: &str, layers: &[Layer]| -> Result<(), ImportError> {
        let source = TensorSource::open(path)?;
        let state: Vec<&Parameter> = layers.iter().flat_map(Layer::state).collect();
        for mapping in pytorch::tensor_mappings(network, layers, &config) {
            let parameter = state.iter().find(|parameter| mapping.zscape == format!("{network}.{}", parameter.name));
            let shape = &parameter.expect("mappings are named after parameters").shape;
            let mut values = source.read(&mapping.pytorch, path)?;
            if values.len() != shape.iter().product::<usize>() {
                let reason = format!("it has {} values, but the config expects {shape:?}", values.len());
                return Err(ImportError::Array { path: path.to_owned(), name: mapping.pytorch, reason });
            }
            if mapping.transposed {
                values = pytorch::transposed(&values, shape[1..].iter().product(), shape[0]);
            }
            file.tensors.insert(mapping.zscape, (shape.clone(), values));
        }
        Ok(())
    };
    take(path, "generator", generator.layers())?;
    let beside = discriminator_path(path);
    // The file beside it may belong to another model.
    if self::note(&beside).is_some_and(|other| self::config(&other).is_ok_and(|other| other == config)) {
        take(&beside, "discriminator", &discriminator.layers)?;
    }
    file.note = Some(note);
    Ok(Some(file))
}

fn config(note: &str) -> Result<ModelConfig, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct ConfigOnly {
        config: ModelConfig,
    }
    serde_json::from_str::<ConfigOnly>(note).map(|note| note.config)
}

/// Reads the note of a file that zscape exported.
fn note(path: &Path) -> Option<String> {
    let mut zip = zip::ZipArchive::new(File::open(path).ok()?).ok()?;
    let name = {
        let mut names = zip.file_names().filter_map(Result::ok);
        names.find(|name| name.rsplit('/').next() == Some(pytorch::NOTE))?.into_owned()
    };
    let mut text = String::new();
    zip.by_name(&name).ok()?.take(MAX_NOTE).read_to_string(&mut text).ok()?;
    Some(text)
}
