//! The queue of images that the explorer's thread generates, by priority.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor};

use super::{COLUMNS, ExplorerResponse, Slot, Zs};
use crate::app::service::push_latest;
use crate::app::tensor_texture::{TargetTexture, TexturePainter};
use crate::app::texture::{PictureSheet, Pictures, SLOT_COLUMNS};
use crate::image::Picture;
use crate::latent;
use crate::latent::arithmetic::Term;
use crate::model::Model;

/// Images that a step generates: few, so that the pointer's requests are served soon.
const STEP_IMAGES: usize = 8;

/// The images of a task that are generated so far.
#[derive(Default)]
enum Generated {
    #[default]
    Nothing,
    Memory(Vec<Picture>),
    /// Their number on a texture.
    Card(TargetTexture, usize),
}

impl Generated {
    fn count(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Memory(pictures) => pictures.len(),
            Self::Card(_, count) => *count,
        }
    }

    /// Paints the next images of `total`; `None` unless they are on the graphics card that draws the window.
    fn paint(self, painter: &TexturePainter, total: usize, pictures: Tensor<4>) -> Option<Self> {
        let [more, _, side, _] = pictures.dims();
        let (canvas, count) = match self {
            Self::Nothing => (painter.canvas(total, SLOT_COLUMNS, side)?, 0),
            Self::Card(canvas, count) => (canvas, count),
            Self::Memory(_) => return None,
        };
        painter.paint(&canvas, count, pictures)?;
        Some(Self::Card(canvas, count + more))
    }

    fn finish(self, painter: Option<&TexturePainter>) -> Pictures {
        match (self, painter) {
            (Self::Card(canvas, _), Some(painter)) => Pictures::Card(painter.finish(canvas)),
            (Self::Memory(pictures), _) => Pictures::Memory(pictures),
            _ => Pictures::Memory(Vec::new()),
        }
    }
}

/// Images to generate; `target` is what they are for.
struct RenderTask<T> {
    target: T,
    z: Zs,
    generated: Generated,
}

impl<T> RenderTask<T> {
    fn new(target: T, z: Zs) -> Self {
        Self { target, z, generated: Generated::Nothing }
    }

    /// Generates the next few images, onto a texture if there is a painter. Returns whether all are generated.
    fn step(&mut self, model: &Model, painter: Option<&TexturePainter>, device: &Device) -> anyhow::Result<bool> {
        let left = &self.z[self.generated.count()..];
        let part = &left[..STEP_IMAGES.min(left.len())];
        let generated = std::mem::take(&mut self.generated);
        self.generated = match (generated, painter) {
            (Generated::Memory(mut pictures), _) => {
                pictures.extend(latent::generate_pictures(&model.generator, part, device)?);
                Generated::Memory(pictures)
            }
            (generated, Some(painter)) => {
                let pictures = model.generator.sample(latent::z_tensor(part, device));
                // If they cannot be painted, all images are read back instead.
                generated.paint(painter, self.z.len(), pictures).unwrap_or(Generated::Memory(Vec::new()))
            }
            (_, None) => Generated::Memory(latent::generate_pictures(&model.generator, part, device)?),
        };
        Ok(self.generated.count() >= self.z.len())
    }
}

/// Arithmetic in feature maps, layer by layer.
struct FeatureArithmetic {
    terms: Vec<Term>,
    generated: Generated,
}

impl FeatureArithmetic {
    /// Adds up the maps of the next layer. Returns whether it was the last.
    fn step(&mut self, model: &Model, painter: Option<&TexturePainter>, device: &Device) -> anyhow::Result<bool> {
        let (layer, layers) = (self.generated.count(), model.config().stages());
        let generated = std::mem::take(&mut self.generated);
        self.generated = match (generated, painter) {
            (Generated::Memory(mut pictures), _) => {
                pictures.extend(latent::generate_from_feature_sums(&model.generator, &[&self.terms], layer, device)?);
                Generated::Memory(pictures)
            }
            (generated, Some(painter)) => {
                let Some(added) = latent::feature_sum_tensor(&model.generator, &[&self.terms], layer, device) else {
                    return Ok(true);
                };
                match generated.paint(painter, layers, added) {
                    Some(generated) => generated,
                    // If they cannot be painted, the images of all layers are read back instead.
                    None => {
                        self.generated = Generated::Memory(Vec::new());
                        return Ok(false);
                    }
                }
            }
            (_, None) => {
                Generated::Memory(latent::generate_from_feature_sums(&model.generator, &[&self.terms], layer, device)?)
            }
        };
        Ok(self.generated.count() <= layer || self.generated.count() >= layers)
    }
}

/// Images by priority: slots in the order of [`Slot`]; feature arithmetic; the gallery, newest first, since that is on the screen; and
/// images that are read back.
#[derive(Default)]
pub(super) struct RenderQueue {
    slots: VecDeque<RenderTask<Slot>>,
    /// Slots whose images are needed in memory.
    read_back: VecDeque<RenderTask<Slot>>,
    arithmetic: Option<FeatureArithmetic>,
    gallery: Vec<RenderTask<(u64, u64)>>,
}

impl RenderQueue {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.read_back.is_empty() && self.arithmetic.is_none() && self.gallery.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Starts unfinished images again, since the generator has changed.
    pub fn restart(&mut self) {
        self.slots.iter_mut().chain(&mut self.read_back).for_each(|task| task.generated = Generated::Nothing);
        self.arithmetic.iter_mut().for_each(|arithmetic| arithmetic.generated = Generated::Nothing);
        self.gallery.iter_mut().for_each(|task| task.generated = Generated::Nothing);
    }

    /// Requests the images of a slot, in place of older requests for it.
    pub fn render(&mut self, slot: Slot, z: Zs) {
        self.read_back.retain(|task| task.target != slot);
        push_latest(&mut self.slots, RenderTask::new(slot, z), |newer, older| newer.target == older.target);
    }

    /// Requests the images of a slot in memory, where they are saved or compared.
    pub fn read_back(&mut self, slot: Slot, z: Zs) {
        push_latest(&mut self.read_back, RenderTask::new(slot, z), |newer, older| newer.target == older.target);
    }

    /// Requests arithmetic in the feature maps of each layer, in place of an older request.
    pub fn feature_arithmetic(&mut self, terms: Vec<Term>) {
        self.arithmetic = Some(FeatureArithmetic { terms, generated: Generated::Nothing });
    }

    /// Requests a chunk of the gallery.
    pub fn gallery_chunk(&mut self, seed: u64, chunk: u64, z: Zs) {
        self.gallery.push(RenderTask::new((seed, chunk), z));
    }

    /// Drops all requests of the gallery.
    pub fn clear_gallery(&mut self) {
        self.gallery.clear();
    }

    /// Generates a few images of the most urgent task. Returns the response of a finished task; a failed task is dropped.
    pub fn step(
        &mut self,
        model: &Model,
        painter: Option<&TexturePainter>,
        device: &Device,
    ) -> anyhow::Result<Option<ExplorerResponse>> {
        let urgent = (0..self.slots.len()).min_by_key(|&i| self.slots[i].target);
        if let Some(mut task) = urgent.and_then(|i| self.slots.remove(i)) {
            if task.step(model, painter, device)? {
                let pictures = task.generated.finish(painter);
                return Ok(Some(ExplorerResponse::Rendered { slot: task.target, z: task.z, pictures }));
            }
            self.slots.push_back(task);
        } else if let Some(mut arithmetic) = self.arithmetic.take() {
            if arithmetic.step(model, painter, device)? {
                let pictures = arithmetic.generated.finish(painter);
                return Ok(Some(ExplorerResponse::FeatureArithmetic { terms: arithmetic.terms, pictures }));
            }
            self.arithmetic = Some(arithmetic);
        } else if let Some(mut task) = self.gallery.pop() {
            let (seed, chunk) = task.target;
            let texture = painter.and_then(|painter| {
                let z = latent::z_tensor(&task.z, device);
                painter.show(model.generator.sample(z), COLUMNS)
            });
            if let Some(painted) = texture {
                return Ok(Some(ExplorerResponse::GalleryChunk { seed, chunk, sheet: PictureSheet::Card(painted) }));
            }
            if task.step(model, None, device)? {
                let sheet = task.generated.finish(None).into_sheet(COLUMNS).0;
                return Ok(Some(ExplorerResponse::GalleryChunk { seed, chunk, sheet }));
            }
            self.gallery.push(task);
        } else if let Some(mut task) = self.read_back.pop_back() {
            if task.step(model, None, device)? {
                let Pictures::Memory(pictures) = task.generated.finish(None) else { return Ok(None) };
                return Ok(Some(ExplorerResponse::ReadBack { slot: task.target, z: task.z, pictures }));
            }
            self.read_back.push_back(task);
        }
        Ok(None)
    }
}
