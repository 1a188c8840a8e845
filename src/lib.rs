//! Train DCGANs (Radford, Metz and Chintala 2015, arXiv 1511.06434) and explore their latent space: the library behind the `zscape`
//! window and command line.
//!
//! - A [`data::Source`] names pictures: a folder, an archive, a standard data set, or pictures that the program renders. Opened, it is a
//!   [`data::Dataset`]; a [`data::Loader`] decodes it into batches ahead of the training.
//! - A [`model::Model`] is a file with a [`model::Generator`] and usually a [`model::Discriminator`]. One
//!   [`model::ModelConfig`] describes both; a [`model::Preset`] names a published one.
//! - A [`train::Trainer`] trains both on its own thread: it takes [`train::TrainerCommand`]s, sends [`train::Event`]s, and writes a run folder
//!   that can be resumed bit for bit on the CPU.
//! - A z is a point of latent space. Sample number i of seed s is the same z everywhere ([`latent::sample_zs`]). Walks, arithmetic,
//!   directions and projections are functions of z in [`latent`]; a [`latent::session::Session`] is everything that a user explored.
//! - [`dissect`] looks inside the networks, and [`evaluate`] compares samples with real pictures.
//! - A [`device::Compute`] is where tensors live: a graphics card through wgpu, or the CPU.
//! - [`app`] is the window and [`cli`] the command line; nothing else knows of them.
//!
//! # Example
//!
//! A walk between two faces of a bundled model:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use zscape::device::Compute;
//! use zscape::image::grid;
//! use zscape::latent::{generate_pictures, sample_zs, vector::lerp};
//! use zscape::model::Model;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Compute::cpu().device;
//! let model = Model::open(Path::new("bundled:faces"), &device)?;
//! let ends = sample_zs(model.config(), 1, [3, 17]);
//! let z: Vec<_> = (0..=10).map(|step| lerp(&ends[0], &ends[1], step as f32 / 10.0)).collect();
//! let walk = generate_pictures(&model.generator, &z, &device)?;
//! grid(&walk, 11, 2).write_png(Path::new("walk.png"))?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! One architecture family: DCGANs of 16x16 to 128x128 pixels, unconditional in training. No StyleGAN, no diffusion, one device per training, and
//! no stable interface: the library exists for its own program.

pub mod app;
pub mod cli;
pub mod data;
pub mod desktop;
pub mod device;
pub mod dissect;
pub mod evaluate;
mod extensions;
pub mod files;
pub mod image;
pub mod latent;
pub mod model;
pub mod panics;
pub mod progress;
mod sniff;
pub mod train;
