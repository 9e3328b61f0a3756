//! The names of the index's records.
//!
//! ```text
//!   column family `blocks`                          column family `default`
//!   b | hash 32 | codec      -> place               m head, m header, m reached, m format, m flushed
//!   f | epoch 8 | hash | codec -> nothing
//!   m reached, m flushed
//! ```
//!
//! Numbers are big-endian, so that keys sort by number. The codec is its multicodec byte, so that
//! names sort as [`Cid`] does. `f` is the fresh mark.

use cairn_block::{Cid, Epoch};

pub(crate) const HEAD: &[u8] = b"mhead";
pub(crate) const HEADER: &[u8] = b"mheader";
/// In both column families: whichever of them is damaged, the other still says how far the store
/// is.
pub(crate) const REACHED: &[u8] = b"mreached";
pub(crate) const FORMAT: &[u8] = b"mformat";
/// Gives a column family a row, so that the next flush takes it along; see [`super::options`].
pub(crate) const FLUSHED: &[u8] = b"mflushed";

pub(crate) const BLOCKS: u8 = b'b';
pub(crate) const FRESH: u8 = b'f';

/// The hash and the codec byte.
const NAME_LEN: usize = 33;

pub(crate) fn block(cid: &Cid) -> Vec<u8> {
    [&[BLOCKS][..], &name_bytes(cid)].concat()
}

pub(crate) fn fresh(epoch: Epoch, cid: &Cid) -> Vec<u8> {
    [&[FRESH][..], &epoch.0.to_be_bytes(), &name_bytes(cid)].concat()
}

/// First key under `prefix` of an epoch above `epoch`.
pub(crate) fn above(prefix: u8, epoch: Epoch) -> Vec<u8> {
    match epoch.0.checked_add(1) {
        Some(next) => from_epoch(prefix, Epoch(next)),
        None => vec![prefix + 1],
    }
}

/// First key under `prefix` of `epoch`.
pub(crate) fn from_epoch(prefix: u8, epoch: Epoch) -> Vec<u8> {
    [&[prefix][..], &epoch.0.to_be_bytes()].concat()
}

pub(crate) fn parse_block(key: &[u8]) -> Option<Cid> {
    parse_name_bytes(key.strip_prefix(&[BLOCKS])?)
}

pub(crate) fn parse_fresh(key: &[u8]) -> Option<(Epoch, Cid)> {
    let (epoch, name) = key.strip_prefix(&[FRESH])?.split_first_chunk()?;
    Some((Epoch(u64::from_be_bytes(*epoch)), parse_name_bytes(name)?))
}

fn name_bytes(cid: &Cid) -> [u8; NAME_LEN] {
    // A binary CIDv1: version, codec, hash code, length, hash.
    let cid = cid.to_bytes();
    let mut name = [0; NAME_LEN];
    name[..32].copy_from_slice(&cid[4..]);
    name[32] = cid[1];
    name
}

fn parse_name_bytes(name: &[u8]) -> Option<Cid> {
    let name: &[u8; NAME_LEN] = name.try_into().ok()?;
    let mut cid = [0; Cid::LEN];
    cid[..4].copy_from_slice(&[1, name[32], cairn_block::MULTIHASH_BLAKE3 as u8, 32]);
    cid[4..].copy_from_slice(&name[..32]);
    Cid::from_bytes(&cid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_block::Codec;

    #[test]
    fn keys_parse_back_to_what_they_name() {
        for codec in [Codec::Leaf, Codec::Node] {
            let cid = Cid::of(codec, b"hello");
            assert_eq!(parse_block(&block(&cid)), Some(cid));
            assert_eq!(parse_fresh(&fresh(Epoch(7), &cid)), Some((Epoch(7), cid)));
        }
    }

    #[test]
    fn keys_sort_as_what_they_name() {
        let (leaf, node) = (Cid::of(Codec::Leaf, b"a"), Cid::of(Codec::Node, b"a"));
        assert_eq!(leaf.cmp(&node), block(&leaf).cmp(&block(&node)));
        assert!(fresh(Epoch(255), &node) < fresh(Epoch(256), &leaf));
        assert!(fresh(Epoch(5), &node) < above(FRESH, Epoch(5)));
        assert!(fresh(Epoch(u64::MAX), &node) < above(FRESH, Epoch(u64::MAX)));
    }
}
