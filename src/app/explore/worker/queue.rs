//! What the explorer's thread has to draw, in the order in which it is waited for.

use burn::tensor::Device;

use super::{COLUMNS, Reply, Slot, Zs};
use crate::app::atlas::Atlas;
use crate::app::texture::Sheet;
use crate::image::{Picture, grid};
use crate::latent;
use crate::latent::arithmetic::Term;
use crate::model::Model;

/// Pictures drawn between two looks at the inbox: what the pointer waits for is never far behind.
const BREATH: usize = 8;

/// Pictures on their way.
struct Job<T> {
    what: T,
    z: Zs,
    drawn: Vec<Picture>,
}

impl<T> Job<T> {
    fn new(what: T, z: Zs) -> Self {
        Self { what, z, drawn: Vec::new() }
    }

    /// Draws the next few pictures; true when all are drawn.
    fn go_on(&mut self, model: &Model, device: &Device) -> anyhow::Result<bool> {
        let left = &self.z[self.drawn.len()..];
        self.drawn.extend(latent::pictures(&model.generator, &left[..BREATH.min(left.len())], device)?);
        Ok(self.drawn.len() >= self.z.len())
    }
}

/// A sum on its way, layer by layer.
struct Addition {
    terms: Vec<Term>,
    pictures: Vec<Picture>,
}

impl Addition {
    /// Adds up the next layer's maps; true when it was the last.
    fn go_on(&mut self, model: &Model, device: &Device) -> anyhow::Result<bool> {
        let layer = self.pictures.len();
        self.pictures.extend(latent::in_maps(&model.generator, &[&self.terms], layer, device)?);
        Ok(self.pictures.len() <= layer || self.pictures.len() >= model.config().stages())
    }
}

/// What is to be drawn: the slots, of which what the pointer waits for comes first; then the sum; then the gallery, of
/// which what was asked for last is on the screen.
#[derive(Default)]
pub(super) struct Queue {
    slots: Vec<Job<Slot>>,
    addition: Option<Addition>,
    gallery: Vec<Job<(u64, u64)>>,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.addition.is_none() && self.gallery.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is half drawn is drawn from its beginning, by a generator that has changed.
    pub fn begin_anew(&mut self) {
        self.slots.iter_mut().for_each(|job| job.drawn.clear());
        self.addition.iter_mut().for_each(|addition| addition.pictures.clear());
        self.gallery.iter_mut().for_each(|job| job.drawn.clear());
    }

    /// Asks for a slot's pictures; what was asked of it before counts no more.
    pub fn render(&mut self, slot: Slot, z: Zs) {
        self.slots.retain(|job| job.what != slot);
        self.slots.push(Job::new(slot, z));
    }

    /// Asks for a sum made of each hidden layer's feature maps; an earlier one counts no more.
    pub fn add(&mut self, terms: Vec<Term>) {
        self.addition = Some(Addition { terms, pictures: Vec::new() });
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
    pub fn work(&mut self, model: &Model, atlas: Option<&Atlas>, device: &Device) -> anyhow::Result<Option<Reply>> {
        let urgent = (0..self.slots.len()).min_by_key(|&i| self.slots[i].what);
        if let Some(mut job) = urgent.map(|i| self.slots.swap_remove(i)) {
            if job.go_on(model, device)? {
                return Ok(Some(Reply::Rendered { slot: job.what, z: job.z, pictures: job.drawn }));
            }
            self.slots.push(job);
        } else if let Some(mut addition) = self.addition.take() {
            if addition.go_on(model, device)? {
                return Ok(Some(Reply::Added { terms: addition.terms, pictures: addition.pictures }));
            }
            self.addition = Some(addition);
        } else if let Some(mut job) = self.gallery.pop() {
            let (seed, chunk) = job.what;
            let shown = atlas.and_then(|atlas| {
                let z = latent::tensor(&job.z, device);
                atlas.show(model.generator.sample(z), COLUMNS)
            });
            if let Some(painted) = shown {
                return Ok(Some(Reply::Drawn { seed, chunk, sheet: Sheet::Card(painted) }));
            }
            if job.go_on(model, device)? {
                let sheet = Sheet::Memory(grid(&job.drawn, COLUMNS, 0));
                return Ok(Some(Reply::Drawn { seed, chunk, sheet }));
            }
            self.gallery.push(job);
        }
        Ok(None)
    }
}
