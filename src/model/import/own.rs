//! State dicts that the program wrote itself: a record in them says what the networks are, so that nothing is guessed.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::super::export::{beside, pytorch};
use super::super::layer::{Initial, Layer, Parameter, Parameters};
use super::super::{Discriminator, Generator, ModelConfig, TensorFile};
use super::{ImportError, Store};

/// Longest note that is read: many times what one has.
const LONGEST: u64 = 1 << 20;

/// Gives names and shapes, and no values.
struct Names(Device);

impl Parameters for Names {
    type Error = Infallible;

    fn parameter(&mut self, name: String, shape: Vec<usize>, _: Initial) -> Result<Parameter, Infallible> {
        Ok(Parameter { name, shape, value: Tensor::zeros([1], &self.0) })
    }
}

/// What the file at `path`, and the discriminator's beside it, hold under the program's own names with their note; none if the
/// program did not write it.
///
/// # Errors
/// [`ImportError`] naming the file and what is wrong with it.
pub(in crate::model) fn own(path: &Path) -> Result<Option<TensorFile>, ImportError> {
    let Some(note) = note(path) else { return Ok(None) };
    let damaged = |cause: String| ImportError::Damaged { path: path.to_owned(), format: "PyTorch", cause };
    let config = config(&note).map_err(|cause| damaged(format!("its {} cannot be used: {cause}", pytorch::NOTE)))?;
    config.check().map_err(|cause| ImportError::Config { path: path.to_owned(), cause })?;
    let mut names = Names(Device::flex());
    let Ok(generator) = Generator::build(&config, &mut names);
    let Ok(discriminator) = Discriminator::build(&config, &mut names);
    let mut file = TensorFile::default();
    let mut take = |path: &Path, network: &str, layers: &[Layer]| -> Result<(), ImportError> {
        let store = Store::open(path)?;
        let kept: Vec<&Parameter> = layers.iter().flat_map(Layer::kept).collect();
        for slot in pytorch::slots(network, layers, &config) {
            let parameter = kept.iter().find(|parameter| slot.ours == format!("{network}.{}", parameter.name));
            let shape = &parameter.expect("slots are named after parameters").shape;
            let mut values = store.read(&slot.theirs, path)?;
            if values.len() != shape.iter().product::<usize>() {
                let cause = format!("it has {} values, and its note says {shape:?}", values.len());
                return Err(ImportError::Array { path: path.to_owned(), name: slot.theirs, cause });
            }
            if slot.turned {
                values = pytorch::turned(&values, shape[1..].iter().product(), shape[0]);
            }
            file.tensors.insert(slot.ours, (shape.clone(), values));
        }
        Ok(())
    };
    take(path, "generator", generator.layers())?;
    let judge = beside(path);
    // A file of another model that happens to lie there is none of this one's.
    if self::note(&judge).is_some_and(|other| self::config(&other).is_ok_and(|other| other == config)) {
        take(&judge, "discriminator", &discriminator.layers)?;
    }
    file.note = Some(note);
    Ok(Some(file))
}

fn config(note: &str) -> Result<ModelConfig, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Note {
        config: ModelConfig,
    }
    serde_json::from_str::<Note>(note).map(|note| note.config)
}

/// The note of a file that the program wrote.
fn note(path: &Path) -> Option<String> {
    let mut zip = zip::ZipArchive::new(File::open(path).ok()?).ok()?;
    let name = {
        let mut names = zip.file_names().filter_map(Result::ok);
        names.find(|name| name.rsplit('/').next() == Some(pytorch::NOTE))?.into_owned()
    };
    let mut text = String::new();
    zip.by_name(&name).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}
