//! Building material for fuzzed decoders and their seeds.

use crate::btree::Entry;
use crate::*;

/// Links that are the same in each run; `count` of them.
pub fn links(count: usize) -> Vec<Link> {
    let link = |n: usize| Link {
        cid: Cid::of(Codec::Leaf, &n.to_le_bytes()),
        key: BlockKey::from_bytes(Suite::default(), [n as u8; 32]),
        birth: Epoch(n as u64),
        len: 100 + n as u32,
        form: Form::Plain,
    };
    (0..count).map(link).collect()
}

/// The input's parts, each behind a length of two bytes; the last is what is left.
pub fn parts(mut data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = data.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
        let (part, rest) = rest.split_at(len);
        parts.push(part);
        data = rest;
    }
    parts
}

/// What [`parts`] takes apart.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    let framed = parts.iter().map(|part| {
        let len = u16::try_from(part.len()).expect("seeds are short");
        [&len.to_le_bytes()[..], part].concat()
    });
    framed.collect::<Vec<_>>().concat()
}

/// An entry of a B+tree: the first byte tells how many links, the second how long the key is.
pub fn entry(data: &[u8]) -> Option<Entry> {
    let ([links_count, key_len], rest) = data.split_first_chunk()?;
    let (key, value) = rest.split_at_checked(usize::from(*key_len))?;
    Some(Entry {
        key: key.to_vec(),
        value: value.to_vec(),
        links: links(usize::from(*links_count % 8)),
    })
}

/// What [`entry`] takes apart; its links are [`links`].
pub fn entry_bytes(entry: &Entry) -> Vec<u8> {
    let (links, key) = (entry.links.len() as u8, entry.key.len() as u8);
    [&[links, key][..], &entry.key, &entry.value].concat()
}
