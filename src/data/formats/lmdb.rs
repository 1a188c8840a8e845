//! LMDB databases, such as LSUN's: a B+ tree of pages, whose leaves hold keys and picture files.
//!
//! The usual readers map the file into memory and write a lock file, which takes unsafe code and a writable folder.
//! To read a finished set, walking its pages once by position is enough; only the position of each picture's node is
//! stored, eight bytes. The layout is that of `mdb.c`: two meta pages, of which the later transaction's is valid;
//! branch pages of keys and page numbers; leaf pages of keys and values, with long values on pages of their own.

use super::file_slice::FileSlice;
use super::{FILE_LIMIT, PictureData, PictureSet, PictureStore};
use crate::data::DataError;

const KIND: &str = "an LMDB";
const MAGIC: u32 = 0xbeef_c0de;
/// File format version; development versions have another layout.
const VERSION: u32 = 1;
/// Bytes of the headers of pages and nodes.
const PAGE_HEADER: u64 = 16;
const NODE_HEADER: u64 = 8;
/// Page types.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META: u16 = 0x08;
/// Node flags: value on overflow pages; sub-tree or multiple values.
const BIG: u16 = 0x01;
const NOT_PLAIN: u16 = 0x02 | 0x04;
/// Limit of the tree's depth; a billion pictures need six levels.
const MAX_LEVELS: usize = 32;
/// Root of an empty tree.
const NO_PAGE: u64 = u64::MAX;

/// The pictures of an LMDB.
#[derive(Debug)]
struct LmdbPictures {
    file: FileSlice,
    page: u64,
    /// Position of each picture's node, in the order of the keys.
    nodes: Vec<u64>,
}

/// A leaf node: its key, and where its value is.
struct LmdbNode {
    key: Vec<u8>,
    /// Position and length of the value.
    start: u64,
    length: u64,
}

/// Opens the data file.
pub(super) fn open(file: &FileSlice) -> Result<PictureSet, DataError> {
    let set = walk(file).map_err(|cause| file.format_error(KIND, cause))?;
    if set.nodes.is_empty() {
        return Err(DataError::Empty { path: file.file_name().into() });
    }
    Ok(PictureSet { pictures: Box::new(set), labels: Default::default(), notes: Vec::new() })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The page size and the root of the tree, from the newer meta page.
fn meta(file: &FileSlice) -> Result<(u64, u64), String> {
    // An interrupted writer leaves one of the meta pages invalid.
    const TREE: usize = 16 + 24 + 48;
    let at = |start: u64| -> Result<(u64, u64, u64), String> {
        let bytes = file.bytes::<160>(start)?;
        let (magic, version) = (u32_at(&bytes, 16), u32_at(&bytes, 20));
        if u16_at(&bytes, 10) & META == 0 || magic != MAGIC {
            return Err(
                "it does not begin like an LMDB; it may come from a machine of another byte order, or not be an LMDB"
                    .to_owned(),
            );
        }
        if version != VERSION {
            return Err(format!("it has version {version}; only {VERSION} is supported"));
        }
        let page = u64::from(u32_at(&bytes, 40));
        if !page.is_power_of_two() || !(256..=1 << 16).contains(&page) {
            return Err(format!("its pages have {page} bytes, which is impossible"));
        }
        Ok((u64_at(&bytes, 16 + 24 + 96 + 8), page, u64_at(&bytes, TREE + 40)))
    };
    let first = at(0)?;
    match at(first.1) {
        Ok(second) if second.0 > first.0 && second.1 == first.1 => Ok((second.1, second.2)),
        _ => Ok((first.1, first.2)),
    }
}

/// Finds every leaf node, left to right.
fn walk(file: &FileSlice) -> Result<LmdbPictures, String> {
    let (page, root) = meta(file)?;
    let mut set = LmdbPictures { file: file.clone(), page, nodes: Vec::new() };
    if root == NO_PAGE {
        return Ok(set);
    }
    let pages = file.length() / page;
    // In a valid tree every page is reached once; otherwise the walk might never end.
    let mut visited = vec![0u64; (pages / 64 + 1) as usize];
    let mut pending = vec![(root, 0)];
    let mut bytes = vec![0; page as usize];
    while let Some((number, level)) = pending.pop() {
        let place = || format!("page {number}");
        if number >= pages {
            return Err(format!("{} is beyond its end; it may be only half copied", place()));
        }
        let bit = &mut visited[(number / 64) as usize];
        if *bit >> (number % 64) & 1 == 1 || level > MAX_LEVELS {
            return Err(format!("{} occurs twice in the tree; the file is damaged", place()));
        }
        *bit |= 1 << (number % 64);
        file.read(&mut bytes, number * page).map_err(|e| format!("{}: {e}", place()))?;
        let nodes =
            set.page_nodes(&bytes).ok_or_else(|| format!("{} is not a valid page; the file is damaged", place()))?;
        match u16_at(&bytes, 10) & (BRANCH | LEAF | OVERFLOW | META) {
            BRANCH => {
                let child = |&at: &u16| {
                    let at = usize::from(at);
                    u64::from(u32_at(&bytes, at)) | u64::from(u16_at(&bytes, at + 4)) << 32
                };
                pending.extend(nodes.iter().rev().map(|at| (child(at), level + 1)));
            }
            LEAF => {
                for at in nodes {
                    if may_be_picture(&bytes, at.into()) {
                        set.nodes.push(number * page + u64::from(at));
                    }
                }
            }
            _ => return Err(format!("{} does not belong to a tree; the file is damaged", place())),
        }
    }
    set.nodes.shrink_to_fit();
    Ok(set)
}

/// Whether a node's value may be a picture: long values may; short ones are counts and names, unless they have a
/// picture's signature.
fn may_be_picture(page: &[u8], at: usize) -> bool {
    let flags = u16_at(page, at + 4);
    if flags & NOT_PLAIN != 0 {
        return false;
    }
    let value = page.get(at + NODE_HEADER as usize + usize::from(u16_at(page, at + 6))..).unwrap_or_default();
    flags & BIG != 0 || crate::sniff::picture_format(value).is_some()
}

impl LmdbPictures {
    /// Offsets of the nodes in a page; `None` if the page is invalid.
    fn page_nodes(&self, bytes: &[u8]) -> Option<Vec<u16>> {
        let lower = usize::from(u16_at(bytes, 12));
        let entries = lower.checked_sub(PAGE_HEADER as usize).filter(|_| lower <= bytes.len())? / 2;
        let nodes = (0..entries).map(|i| u16_at(bytes, PAGE_HEADER as usize + 2 * i));
        nodes
            .map(|at| (usize::from(at) >= lower && usize::from(at) + NODE_HEADER as usize <= bytes.len()).then_some(at))
            .collect()
    }

    fn node(&self, index: u64) -> Result<LmdbNode, String> {
        let at = *self.nodes.get(index as usize).ok_or("there is no such picture")?;
        let header = self.file.bytes::<{ NODE_HEADER as usize }>(at)?;
        // The halves of the length have the same order on all supported machines.
        let length = u64::from(u32_at(&header, 0));
        let mut key = vec![0; u16_at(&header, 6).into()];
        self.file.read(&mut key, at + NODE_HEADER).map_err(|e| e.to_string())?;
        let value = at + NODE_HEADER + key.len() as u64;
        if u16_at(&header, 4) & BIG == 0 {
            // A short value must end on the node's page.
            let end = (at / self.page + 1) * self.page;
            return match value + length <= end {
                true => Ok(LmdbNode { key, start: value, length }),
                false => Err("its value leaves its page; it is damaged".to_owned()),
            };
        }
        let number = u64_at(&self.file.bytes::<8>(value)?, 0);
        let start = number.checked_mul(self.page).filter(|&start| start < self.file.length());
        let start = start
            .ok_or_else(|| format!("its value is on page {number}, beyond the end; the file may be half copied"))?;
        let page = self.file.bytes::<{ PAGE_HEADER as usize }>(start)?;
        let room = u64::from(u32_at(&page, 12)) * self.page;
        if u16_at(&page, 10) & OVERFLOW == 0 || length + PAGE_HEADER > room {
            return Err(format!("page {number} does not hold its value; it is damaged"));
        }
        Ok(LmdbNode { key, start: start + PAGE_HEADER, length })
    }
}

impl PictureStore for LmdbPictures {
    fn len(&self) -> Option<u64> {
        Some(self.nodes.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        match self.node(index) {
            Ok(node) => String::from_utf8_lossy(&node.key).into_owned(),
            Err(_) => format!("{}#{index}", self.file.file_name()),
        }
    }

    fn read(&self, index: u64, _size: usize) -> Result<PictureData, String> {
        let node = self.node(index)?;
        if node.length > FILE_LIMIT {
            return Err("it is larger than 1 GiB".to_owned());
        }
        let value = self.file.part(node.start, node.length)?;
        value.head(node.length).map(PictureData::Encoded).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{damages, open, refusal, survives};
    use super::*;
    use crate::image::Picture;
    use proptest::prelude::*;
    use std::path::Path;

    const PAGE: usize = 4096;

    fn page(number: u64, flags: u16, rest: &[u8]) -> Vec<u8> {
        let mut page = [&number.to_le_bytes()[..], &[0, 0], &flags.to_le_bytes(), rest].concat();
        page.resize(page.len().next_multiple_of(PAGE), 0);
        page
    }

    /// A page of nodes, filled from its end as LMDB does.
    fn nodes(number: u64, flags: u16, nodes: &[Vec<u8>]) -> Vec<u8> {
        let mut page = page(number, flags, &[]);
        let (mut lower, mut upper) = (PAGE_HEADER as usize, PAGE);
        for node in nodes {
            upper -= node.len().next_multiple_of(2);
            page[upper..upper + node.len()].copy_from_slice(node);
            page[lower..lower + 2].copy_from_slice(&(upper as u16).to_le_bytes());
            lower += 2;
        }
        page[12..14].copy_from_slice(&(lower as u16).to_le_bytes());
        page[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
        page
    }

    fn leaf(key: &str, flags: u16, length: u32, value: &[u8]) -> Vec<u8> {
        [&length.to_le_bytes()[..], &flags.to_le_bytes(), &(key.len() as u16).to_le_bytes(), key.as_bytes(), value]
            .concat()
    }

    fn branch(key: &str, child: u32) -> Vec<u8> {
        [&child.to_le_bytes()[..], &[0, 0], &(key.len() as u16).to_le_bytes(), key.as_bytes()].concat()
    }

    fn meta_page(number: u64, transaction: u64, root: u64) -> Vec<u8> {
        let tree = |pad: u32, root: u64| [&pad.to_le_bytes()[..], &[0; 36], &root.to_le_bytes()].concat();
        let meta = [
            &MAGIC.to_le_bytes()[..],
            &VERSION.to_le_bytes(),
            &[0; 16],
            &tree(PAGE as u32, NO_PAGE),
            &tree(0, root),
            &9u64.to_le_bytes(),
            &transaction.to_le_bytes(),
        ];
        page(number, META, &[&[0; 4][..], &meta.concat()].concat())
    }

    fn png(shade: u8) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.png");
        Picture::new(4, 4, 1, vec![shade; 16]).write_png(&path).unwrap();
        std::fs::read(path).unwrap()
    }

    /// Two leaves below a branch. The first picture is in its leaf, the second on overflow pages.
    fn file() -> Vec<u8> {
        let (small, mut large) = (png(7), png(9));
        large.resize(5000, 0);
        let overflow = [&2u32.to_le_bytes()[..], &large].concat();
        [
            meta_page(0, 1, 3),
            meta_page(1, 2, 2),
            nodes(2, BRANCH, &[branch("", 3), branch("b", 4)]),
            nodes(3, LEAF, &[leaf("a", 0, small.len() as u32, &small), leaf("length", 0, 1, b"2")]),
            nodes(4, LEAF, &[leaf("b", BIG, 5000, &5u64.to_le_bytes())]),
            page(5, OVERFLOW, &overflow),
        ]
        .concat()
    }

    fn shade(opened: &PictureSet, index: u64) -> u8 {
        super::super::tests::decoded(opened, index).pixels()[0]
    }

    #[test]
    fn pictures_are_read_in_the_order_of_their_keys() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("data.mdb"), file()).unwrap();
        for path in [place.path(), &place.path().join("data.mdb")] {
            let opened = open(path).unwrap();
            assert_eq!(opened.pictures.len(), Some(2), "other values are skipped");
            assert_eq!((opened.pictures.name(0), opened.pictures.name(1)), ("a".to_owned(), "b".to_owned()));
            assert_eq!((shade(&opened, 0), shade(&opened, 1)), (7, 9));
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "no lock is written");
    }

    #[test]
    fn invalid_tree_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data.mdb");
        let refused = |bytes: &[u8], expected: &str, path: &Path| {
            std::fs::write(path, bytes).unwrap();
            let message = refusal(path);
            assert!(message.contains("data.mdb") && message.contains(expected), "{message}");
        };
        refused(&[], "header", &path);
        refused(&[7; 9000], "does not begin", &path);
        refused(&file()[..2 * PAGE + 9], "beyond its end", &path);
        let circle = [meta_page(0, 1, 2), meta_page(1, 0, 2), nodes(2, BRANCH, &[branch("", 2)])].concat();
        refused(&circle, "occurs twice", &path);
        let empty = [meta_page(0, 1, NO_PAGE), meta_page(1, 0, NO_PAGE)].concat();
        refused(&empty, "no pictures", &path);
        // A value beyond its pages makes one picture unreadable.
        let mut lying = file();
        let at = lying.windows(9).position(|nine| nine == b"\x88\x13\0\0\x01\0\x01\0b").unwrap();
        lying[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(&path, lying).unwrap();
        let opened = open(&path).unwrap();
        assert!(opened.pictures.read(1, 0).err().unwrap().contains("page 5"));
        assert_eq!(shade(&opened, 0), 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_file_is_refused_or_read(damage in damages()) {
            survives("data.mdb", &file(), &damage)?;
        }

        /// Damages the headers and nodes of pages.
        #[test]
        fn damaged_pages_are_refused_or_read(flips in prop::collection::vec((0usize..6, 0usize..48, any::<bool>(), any::<u8>()), 1..4)) {
            let mut bytes = file();
            for (page, at, from_end, by) in flips {
                bytes[page * PAGE + if from_end { PAGE - 1 - at } else { at }] ^= by;
            }
            survives("data.mdb", &bytes, &super::super::tests::Damage::Flip(vec![]))?;
        }
    }
}
