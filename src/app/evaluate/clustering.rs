//! Clustering of a data set's duplicates: a job that hashes the images once and then serves requests for groups, which are quick.

use burn::tensor::Device;
use crossbeam_channel::Receiver;

use crate::app::service::{Reporter, recv_latest};
use crate::data::{Dataset, Problem, Source};
use crate::evaluate::dedup::{DedupSettings, DuplicateCriterion, HashedDataset};
use crate::evaluate::hash::{CHANNELS, SIDE};
use crate::image::{Picture, PictureFormat, Preparation};

pub(super) enum ClusteringRequest {
    Groups(DuplicateCriterion),
    /// Images by their numbers.
    Pictures(Vec<u64>),
}

/// An image of a group.
pub(super) struct Duplicate {
    pub number: u64,
    pub name: String,
    /// Bits of the hash by which it differs from the first.
    pub bits: u32,
}

/// Images that count as duplicates of the first one, which is kept.
pub(super) struct DuplicateGroup {
    pub members: Vec<Duplicate>,
    /// Whether all pixels are the same, in the size that is hashed.
    pub exact: bool,
}

pub(super) enum ClusteringEvent {
    /// How many images were hashed, how many bits of the hash vary, and what could not be read.
    Hashed {
        pictures: usize,
        bits: usize,
        skipped: Vec<Problem>,
    },
    Groups(DuplicateCriterion, Vec<DuplicateGroup>),
    Pictures(Vec<u64>, Vec<Picture>),
}

/// Hashes the images of `data`, then serves requests until their channel is closed.
pub(super) fn run(
    data: &str,
    preparation: Option<Preparation>,
    settings: DedupSettings,
    inbox: &Receiver<ClusteringRequest>,
    device: &Device,
    reporter: &Reporter<ClusteringEvent>,
) -> anyhow::Result<()> {
    let data =
        Dataset::open(&Source::from(data), PictureFormat::new(SIDE, CHANNELS).prepared(preparation)?, settings.seed)?;
    anyhow::ensure!(
        data.len().is_some(),
        "{} is endless, so it has no duplicates to leave out; choose a folder or an archive",
        data.source()
    );
    let hashed =
        HashedDataset::new(&data, settings, device, &mut |what, done, total| reporter.report(what, done, total))?;
    let (pictures, bits, skipped) = (hashed.numbers.len(), hashed.used_bits(), hashed.skipped.clone());
    reporter.send(ClusteringEvent::Hashed { pictures, bits, skipped });
    // While a slider moves only its last position counts; images requested before belong to other groups then.
    while let Some(request) = recv_latest(inbox) {
        match request {
            ClusteringRequest::Groups(alike) => {
                reporter.send(ClusteringEvent::Groups(alike, groups(&hashed, &data, alike)));
            }
            ClusteringRequest::Pictures(numbers) => {
                let blank = || Picture::new(SIDE, SIDE, CHANNELS, vec![255; SIDE * SIDE * CHANNELS]);
                let read = numbers.iter().map(|&number| data.picture(number).unwrap_or_else(|_| blank())).collect();
                reporter.send(ClusteringEvent::Pictures(numbers, read));
            }
        }
    }
    Ok(())
}

fn groups(hashed: &HashedDataset, data: &Dataset, alike: DuplicateCriterion) -> Vec<DuplicateGroup> {
    let group = |group: crate::evaluate::dedup::HashGroup| {
        let first = data.picture(group.members[0]).ok();
        // Equal hashes do not imply equal pixels.
        let exact = group.bits.iter().all(|&bits| bits == 0)
            && group.members[1..].iter().all(|&number| data.picture(number).ok() == first);
        let member = |(number, bits)| Duplicate { number, name: data.name(number), bits };
        DuplicateGroup { members: group.members.into_iter().zip(group.bits).map(member).collect(), exact }
    };
    hashed.groups(data, alike).into_iter().map(group).collect()
}
