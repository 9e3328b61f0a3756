//! The state of a volume that its commit block carries, beside the links to its trees.
//!
//! `docs/format.md` section 13 is this file as a table.

use crate::stored::codec::{Decoder, Encoder};
use crate::stored::held::HeldList;
use crate::stored::publication::Publication;
use crate::stored::record::Record;
use crate::stored::repairs::Repairs;
use cairn_merkle::{Error, Link};

const VERSION: u8 = 4;

/// Everything that a commit says about the filesystem.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    /// The next inode number; numbers are never used twice.
    pub(crate) next_ino: u64,
    /// Inodes in the live tree.
    pub(crate) inodes: u64,
    /// Limits; 0 for none.
    pub(crate) quota_bytes: u64,
    pub(crate) quota_inodes: u64,
    /// Orders names within directories; secret, so that collisions cannot be crafted.
    pub(crate) dir_key: [u8; 32],
    /// The log of the mount that made this commit is sealed under a key derived from it.
    pub(crate) log_salt: [u8; 32],
    pub(crate) trees: Trees,
    /// What is known of the anchor.
    pub(crate) publication: Publication,
    /// What repairs took away.
    pub(crate) repairs: Repairs,
}

/// Its trees, and the numbers that go with them. Operations leave them alone: each commit replaces
/// them as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    /// Plain bytes in the live tree's leaves and inline contents.
    pub(crate) bytes: u64,
    /// The next snapshot's number.
    pub(crate) next_snapshot: u32,
    /// The root directory.
    pub(crate) root: Record,
    /// Inodes with several names, by number.
    pub(crate) table: Option<Link>,
    /// Unlinked inodes that were open, by number.
    pub(crate) orphans: Option<Link>,
    /// Snapshots, by name.
    pub(crate) snapshots: Option<Link>,
    /// Blocks that left the live tree since the newest snapshot and that it holds, by birth.
    pub(crate) dead: Option<Link>,
    /// Blocks that only a published version names.
    pub(crate) held: HeldList,
}

impl Volume {
    /// Body and links of the commit block.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<Link>) {
        let mut out = Encoder::default();
        let Trees { root, held, .. } = &self.trees;
        out.u8(VERSION)
            .u64(self.next_ino)
            .u64(self.inodes)
            .u64(self.trees.bytes);
        out.u64(self.quota_bytes)
            .u64(self.quota_inodes)
            .raw(&self.dir_key)
            .raw(&self.log_salt);
        out.u32(self.trees.next_snapshot);
        let (root, mut links) = root.encode();
        out.bytes(&root)
            .u8(u8::try_from(links.len()).expect("an inode has at most one link"));
        let trees = [
            &self.trees.table,
            &self.trees.orphans,
            &self.trees.snapshots,
            &self.trees.dead,
            &held.root,
            &self.repairs.root,
        ];
        for tree in trees {
            out.u8(u8::from(tree.is_some()));
            links.extend(tree.clone());
        }
        out.u64(held.bytes);
        self.publication.encode(&mut out);
        self.repairs.encode(&mut out);
        (out.0, links)
    }

    pub(crate) fn decode(body: &[u8], links: &[Link]) -> Result<Self, Error> {
        let mut from = Decoder::new("commit", body);
        let version = from.u8()?;
        if version != VERSION {
            return Err(Error::UnknownVersion {
                what: "filesystem state",
                version: version.into(),
            });
        }
        let (next_ino, inodes, bytes) = (from.u64()?, from.u64()?, from.u64()?);
        let (quota_bytes, quota_inodes) = (from.u64()?, from.u64()?);
        let (dir_key, log_salt, next_snapshot) = (from.array()?, from.array()?, from.u32()?);
        let root = from.bytes()?;
        let root_links = usize::from(from.u8()?);
        let (root_links, mut links) = links
            .split_at_checked(root_links)
            .ok_or(from.error("the root's link is missing"))?;
        let root = Record::decode(root, root_links)?;
        let mut tree = || -> Result<Option<Link>, Error> {
            if !from.flag()? {
                return Ok(None);
            }
            let (link, rest) = links
                .split_first()
                .ok_or(from.error("a tree's link is missing"))?;
            links = rest;
            Ok(Some(link.clone()))
        };
        let (table, orphans, snapshots, dead) = (tree()?, tree()?, tree()?, tree()?);
        let (held_root, gone) = (tree()?, tree()?);
        let held = HeldList {
            root: held_root,
            bytes: from.u64()?,
        };
        let publication = Publication::decode(&mut from)?;
        let repairs = Repairs::decode(&mut from, gone)?;
        if !links.is_empty() {
            return Err(from.error("it has links that nothing names"));
        }
        from.finish()?;
        Ok(Self {
            next_ino,
            inodes,
            quota_bytes,
            quota_inodes,
            dir_key,
            log_salt,
            trees: Trees {
                bytes,
                next_snapshot,
                root,
                table,
                orphans,
                snapshots,
                dead,
                held,
            },
            publication,
            repairs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::record::{Stored, Xattrs, tests::meta};
    use crate::stored::repairs::Repaired;
    use cairn_merkle::testing::TestRng;
    use cairn_merkle::{Epoch, Version, seal_leaf};

    fn volume() -> Volume {
        let mut rng = TestRng::new(7);
        let mut link = || Some(seal_leaf(Default::default(), &mut rng, Epoch(3), b"node").1);
        Volume {
            next_ino: 17,
            inodes: 2,
            quota_bytes: 0,
            quota_inodes: 9,
            dir_key: [1; 32],
            log_salt: [2; 32],
            trees: Trees {
                bytes: 5,
                next_snapshot: 4,
                root: Record {
                    meta: meta(),
                    xattrs: Xattrs::default(),
                    stored: Stored::None,
                },
                table: link(),
                orphans: None,
                snapshots: link(),
                dead: None,
                held: HeldList {
                    root: link(),
                    bytes: 77,
                },
            },
            publication: Publication {
                anchored: Some(Version::from_digest(3, [3; 32])),
                submitted: vec![Version::from_digest(5, [5; 32])],
                changed: Epoch(6),
                publishing: true,
            },
            repairs: Repairs {
                root: link(),
                summary: Some(Repaired {
                    epoch: 6,
                    files: 3,
                    ..Repaired::default()
                }),
            },
        }
    }

    #[test]
    fn a_state_decodes_to_what_was_encoded_and_nothing_shorter_or_longer_does() {
        let (mut body, links) = volume().encode();
        let read = Volume::decode(&body, &links).unwrap();
        assert_eq!(read.encode(), (body.clone(), links.clone()));
        for len in 0..body.len() {
            assert!(Volume::decode(&body[..len], &links).is_err(), "{len} bytes");
        }
        assert!(Volume::decode(&[&body[..], &[0]].concat(), &links).is_err());
        assert!(Volume::decode(&body, &links[..2]).is_err());
        let more = [&links[..], &links[..1]].concat();
        assert!(Volume::decode(&body, &more).is_err());
        body[0] = VERSION + 1;
        assert!(matches!(
            Volume::decode(&body, &links),
            Err(Error::UnknownVersion { version: 5, .. })
        ));
    }
}
