//! zscape, an explorer of latent spaces: a DCGAN (Radford, Metz, Chintala 2015, arXiv 1511.06434), its trainer, and a
//! window to watch and walk what it learns. The modules stand in the order of the data's way; see `ARCHITECTURE.md`.

pub mod app;
pub mod cli;
pub mod data;
pub mod desktop;
pub mod device;
pub mod dissect;
pub mod evaluate;
pub mod files;
pub mod image;
pub mod latent;
pub mod model;
pub mod panics;
pub mod progress;
mod sniff;
pub mod train;
