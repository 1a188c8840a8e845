//! What the explorer's thread has to draw, in the order in which it is waited for.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor};

use super::{COLUMNS, Reply, Slot, Zs};
use crate::app::service::push_latest;
use crate::app::tensor_texture::{TargetTexture, TexturePainter};
use crate::app::texture::{Pictures, SLOT_COLUMNS, Sheet};
use crate::image::Picture;
use crate::latent;
use crate::latent::arithmetic::Term;
use crate::model::Model;

/// Pictures drawn between two looks at the inbox: what the pointer waits for is never far behind.
const BREATH: usize = 8;

/// What is drawn of a job's pictures.
#[derive(Default)]
enum Drawn {
    #[default]
    Nothing,
    Memory(Vec<Picture>),
    /// So many on a texture.
    Card(TargetTexture, usize),
}

impl Drawn {
    fn count(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Memory(pictures) => pictures.len(),
            Self::Card(_, count) => *count,
        }
    }

    /// Paints the next pictures of `total`, where they lie on the card that draws the window.
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

/// Pictures on their way.
struct Job<T> {
    what: T,
    z: Zs,
    drawn: Drawn,
}

impl<T> Job<T> {
    fn new(what: T, z: Zs) -> Self {
        Self { what, z, drawn: Drawn::Nothing }
    }

    /// Draws the next few pictures, onto a texture where there is a painter; true when all are drawn.
    fn go_on(&mut self, model: &Model, painter: Option<&TexturePainter>, device: &Device) -> anyhow::Result<bool> {
        let left = &self.z[self.drawn.count()..];
        let part = &left[..BREATH.min(left.len())];
        let drawn = std::mem::take(&mut self.drawn);
        self.drawn = match (drawn, painter) {
            (Drawn::Memory(mut pictures), _) => {
                pictures.extend(latent::generate_pictures(&model.generator, part, device)?);
                Drawn::Memory(pictures)
            }
            (drawn, Some(painter)) => {
                let pictures = model.generator.sample(latent::z_tensor(part, device));
                // What cannot be painted is read back from the first picture on.
                drawn.paint(painter, self.z.len(), pictures).unwrap_or(Drawn::Memory(Vec::new()))
            }
            (_, None) => Drawn::Memory(latent::generate_pictures(&model.generator, part, device)?),
        };
        Ok(self.drawn.count() >= self.z.len())
    }
}

/// A sum on its way, layer by layer.
struct Addition {
    terms: Vec<Term>,
    drawn: Drawn,
}

impl Addition {
    /// Adds up the next layer's maps; true when it was the last.
    fn go_on(&mut self, model: &Model, painter: Option<&TexturePainter>, device: &Device) -> anyhow::Result<bool> {
        let (layer, layers) = (self.drawn.count(), model.config().stages());
        let drawn = std::mem::take(&mut self.drawn);
        self.drawn = match (drawn, painter) {
            (Drawn::Memory(mut pictures), _) => {
                pictures.extend(latent::generate_from_feature_sums(&model.generator, &[&self.terms], layer, device)?);
                Drawn::Memory(pictures)
            }
            (drawn, Some(painter)) => {
                let Some(added) = latent::feature_sum_tensor(&model.generator, &[&self.terms], layer, device) else {
                    return Ok(true);
                };
                match drawn.paint(painter, layers, added) {
                    Some(drawn) => drawn,
                    // What cannot be painted is read back from the first layer on.
                    None => {
                        self.drawn = Drawn::Memory(Vec::new());
                        return Ok(false);
                    }
                }
            }
            (_, None) => {
                Drawn::Memory(latent::generate_from_feature_sums(&model.generator, &[&self.terms], layer, device)?)
            }
        };
        Ok(self.drawn.count() <= layer || self.drawn.count() >= layers)
    }
}

/// What is to be drawn: the slots, of which what the pointer waits for comes first; then the sum; then the gallery, of
/// which what was asked for last is on the screen; then what is read back of the slots.
#[derive(Default)]
pub(super) struct Queue {
    slots: VecDeque<Job<Slot>>,
    /// Slots whose pictures are wanted in memory.
    read: VecDeque<Job<Slot>>,
    addition: Option<Addition>,
    gallery: Vec<Job<(u64, u64)>>,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.read.is_empty() && self.addition.is_none() && self.gallery.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is half drawn is drawn from its beginning, by a generator that has changed.
    pub fn begin_anew(&mut self) {
        self.slots.iter_mut().chain(&mut self.read).for_each(|job| job.drawn = Drawn::Nothing);
        self.addition.iter_mut().for_each(|addition| addition.drawn = Drawn::Nothing);
        self.gallery.iter_mut().for_each(|job| job.drawn = Drawn::Nothing);
    }

    /// Asks for a slot's pictures; what was asked of it before counts no more.
    pub fn render(&mut self, slot: Slot, z: Zs) {
        self.read.retain(|job| job.what != slot);
        push_latest(&mut self.slots, Job::new(slot, z), |newer, older| newer.what == older.what);
    }

    /// Asks for a slot's pictures in memory: what is saved or compared cannot stay on the card.
    pub fn read(&mut self, slot: Slot, z: Zs) {
        push_latest(&mut self.read, Job::new(slot, z), |newer, older| newer.what == older.what);
    }

    /// Asks for a sum made of each hidden layer's feature maps; an earlier one counts no more.
    pub fn add(&mut self, terms: Vec<Term>) {
        self.addition = Some(Addition { terms, drawn: Drawn::Nothing });
    }

    /// Asks for a part of the gallery.
    pub fn draw(&mut self, seed: u64, chunk: u64, z: Zs) {
        self.gallery.push(Job::new((seed, chunk), z));
    }

    /// Nothing asked of the gallery counts any more.
    pub fn forget(&mut self) {
        self.gallery.clear();
    }

    /// Goes on with what is most urgent, for a few pictures; gives what is done. What fails is not tried again.
    pub fn work(
        &mut self,
        model: &Model,
        painter: Option<&TexturePainter>,
        device: &Device,
    ) -> anyhow::Result<Option<Reply>> {
        let urgent = (0..self.slots.len()).min_by_key(|&i| self.slots[i].what);
        if let Some(mut job) = urgent.and_then(|i| self.slots.remove(i)) {
            if job.go_on(model, painter, device)? {
                let pictures = job.drawn.finish(painter);
                return Ok(Some(Reply::Rendered { slot: job.what, z: job.z, pictures }));
            }
            self.slots.push_back(job);
        } else if let Some(mut addition) = self.addition.take() {
            if addition.go_on(model, painter, device)? {
                let pictures = addition.drawn.finish(painter);
                return Ok(Some(Reply::Added { terms: addition.terms, pictures }));
            }
            self.addition = Some(addition);
        } else if let Some(mut job) = self.gallery.pop() {
            let (seed, chunk) = job.what;
            let shown = painter.and_then(|painter| {
                let z = latent::z_tensor(&job.z, device);
                painter.show(model.generator.sample(z), COLUMNS)
            });
            if let Some(painted) = shown {
                return Ok(Some(Reply::Drawn { seed, chunk, sheet: Sheet::Card(painted) }));
            }
            if job.go_on(model, None, device)? {
                let sheet = job.drawn.finish(None).into_sheet(COLUMNS).0;
                return Ok(Some(Reply::Drawn { seed, chunk, sheet }));
            }
            self.gallery.push(job);
        } else if let Some(mut job) = self.read.pop_back() {
            if job.go_on(model, None, device)? {
                let Pictures::Memory(pictures) = job.drawn.finish(None) else { return Ok(None) };
                return Ok(Some(Reply::Read { slot: job.what, z: job.z, pictures }));
            }
            self.read.push_back(job);
        }
        Ok(None)
    }
}
