//! Duplicates of a set, found on a thread of its own that then stays: the hashes are there, so that other groups are a matter
//! of a moment.

use burn::tensor::Device;
use crossbeam_channel::Receiver;

use super::work::Teller;
use crate::data::{Dataset, Problem, Source};
use crate::evaluate::dedup::{Alike, Hashed, Settings};
use crate::evaluate::hash::{CHANNELS, SIDE};
use crate::image::{Picture, PictureFormat, Preparation};

pub(super) enum Ask {
    Groups(Alike),
    /// Pictures by their numbers.
    Pictures(Vec<u64>),
}

/// A picture of a group.
pub(super) struct Member {
    pub number: u64,
    pub name: String,
    /// Bits by which it differs from the first.
    pub bits: u32,
}

/// Pictures that are taken for one; the first is kept.
pub(super) struct Group {
    pub members: Vec<Member>,
    /// Whether they are the same in every pixel of what is hashed.
    pub exact: bool,
}

pub(super) enum Told {
    /// How many pictures were hashed, how many bits tell them apart, and what could not be read.
    Hashed {
        pictures: usize,
        bits: usize,
        skipped: Vec<Problem>,
    },
    Groups(Alike, Vec<Group>),
    Pictures(Vec<u64>, Vec<Picture>),
}

/// Hashes the pictures of `data`, and then answers until nobody can ask any more.
pub(super) fn serve(
    data: &str,
    preparation: Option<Preparation>,
    settings: Settings,
    inbox: &Receiver<Ask>,
    device: &Device,
    teller: &Teller<Told>,
) -> anyhow::Result<()> {
    let data =
        Dataset::open(&Source::parse(data)?, PictureFormat::new(SIDE, CHANNELS).prepared(preparation)?, settings.seed)?;
    anyhow::ensure!(
        data.len().is_some(),
        "{} never ends, so it has no duplicates to leave out; give a folder or an archive",
        data.source()
    );
    let mut progress = |what, done, of| teller.progress(what, done, of);
    let hashed = Hashed::new(&data, settings, device, &mut progress)?;
    let (pictures, bits, skipped) = (hashed.numbers.len(), hashed.used_bits(), hashed.skipped.clone());
    teller.tell(Told::Hashed { pictures, bits, skipped });
    while let Ok(mut ask) = inbox.recv() {
        // Of a slider's moves the last one counts; pictures asked for before are then of other groups.
        while let Ok(newer) = inbox.try_recv() {
            ask = newer;
        }
        match ask {
            Ask::Groups(alike) => teller.tell(Told::Groups(alike, groups(&hashed, &data, alike))),
            Ask::Pictures(numbers) => {
                let blank = || Picture::new(SIDE, SIDE, CHANNELS, vec![255; SIDE * SIDE * CHANNELS]);
                let read = numbers.iter().map(|&number| data.picture(number).unwrap_or_else(|_| blank())).collect();
                teller.tell(Told::Pictures(numbers, read));
            }
        }
    }
    Ok(())
}

fn groups(hashed: &Hashed, data: &Dataset, alike: Alike) -> Vec<Group> {
    let group = |group: crate::evaluate::dedup::Group| {
        let first = data.picture(group.members[0]).ok();
        // Those that look alike may have equal hashes without being the same.
        let exact = group.bits.iter().all(|&bits| bits == 0)
            && group.members[1..].iter().all(|&number| data.picture(number).ok() == first);
        let member = |(number, bits)| Member { number, name: data.name(number), bits };
        Group { members: group.members.into_iter().zip(group.bits).map(member).collect(), exact }
    };
    hashed.groups(data, alike).into_iter().map(group).collect()
}
