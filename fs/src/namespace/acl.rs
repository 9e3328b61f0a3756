//! POSIX access control lists, as far as the kernel leaves them to the filesystem.
//!
//! The kernel checks permissions; the filesystem keeps the two attributes, hands a directory's
//! default list to what is made in it, and keeps mode bits and list in step (POSIX 1003.1e draft
//! 17, section 23.1).
//!
//! The attribute is version 2 of Linux's format: a 32-bit 2, then entries of tag, permissions (16
//! bits each) and id (32 bits), little-endian.

use crate::Kind;
use std::collections::BTreeMap;

/// Name of the list that governs access.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// Name of the list that a directory hands on.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const USER_OBJ: u16 = 0x01;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

fn parse(value: &[u8]) -> Option<Vec<Entry>> {
    let (version, entries) = value.split_first_chunk()?;
    if u32::from_le_bytes(*version) != 2 || entries.len() % 8 != 0 {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Entry {
            tag: field(0),
            perm: field(2) & 7,
            id: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    };
    Some(entries.chunks_exact(8).map(entry).collect())
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for entry in entries {
        value.extend_from_slice(&entry.tag.to_le_bytes());
        value.extend_from_slice(&entry.perm.to_le_bytes());
        value.extend_from_slice(&entry.id.to_le_bytes());
    }
    value
}

/// Whether `value` is a well-formed list.
pub(crate) fn is_valid(value: &[u8]) -> bool {
    parse(value).is_some()
}

/// The mode bits a list stands for, and whether it says no more than they do.
pub(crate) fn mode_of(value: &[u8], mode: u32) -> Option<(u32, bool)> {
    let entries = parse(value)?;
    let has_mask = entries.iter().any(|entry| entry.tag == MASK);
    let mut bits = mode & 0o7000;
    for entry in &entries {
        let shift = match entry.tag {
            USER_OBJ => 6,
            MASK => 3,
            GROUP_OBJ if !has_mask => 3,
            OTHER => 0,
            _ => continue,
        };
        bits |= u32::from(entry.perm) << shift;
    }
    Some((bits, entries.len() == 3))
}

/// The list after `chmod mode`.
pub(crate) fn after_chmod(value: &[u8], mode: u32) -> Option<Vec<u8>> {
    let mut entries = parse(value)?;
    let has_mask = entries.iter().any(|entry| entry.tag == MASK);
    for entry in &mut entries {
        let shift = match entry.tag {
            USER_OBJ => 6,
            MASK => 3,
            GROUP_OBJ if !has_mask => 3,
            OTHER => 0,
            _ => continue,
        };
        entry.perm = u16::try_from(mode >> shift & 7).unwrap_or(0);
    }
    Some(encode(&entries))
}

/// Mode and lists of something made with `mode` in a directory with attributes `parent`: its
/// default list masked by `mode`, or where there is none, `mode` masked by `umask`.
pub(crate) fn inherit(
    parent: &BTreeMap<Vec<u8>, Vec<u8>>,
    kind: Kind,
    mode: u32,
    umask: u32,
) -> (u32, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut lists = BTreeMap::new();
    if kind == Kind::Symlink {
        return (mode, lists);
    }
    let Some(default) = parent.get(DEFAULT) else {
        return (mode & !umask, lists);
    };
    let Some(mut entries) = parse(default) else {
        return (mode & !umask, lists);
    };
    let has_mask = entries.iter().any(|entry| entry.tag == MASK);
    let mut bits = mode & 0o7000;
    for entry in &mut entries {
        let shift = match entry.tag {
            USER_OBJ => 6,
            MASK => 3,
            GROUP_OBJ if !has_mask => 3,
            OTHER => 0,
            _ => continue,
        };
        entry.perm &= u16::try_from(mode >> shift & 7).unwrap_or(0);
        bits |= u32::from(entry.perm) << shift;
    }
    if entries.len() > 3 {
        lists.insert(ACCESS.to_vec(), encode(&entries));
    }
    if kind == Kind::Directory {
        lists.insert(DEFAULT.to_vec(), default.clone());
    }
    (bits, lists)
}

#[cfg(test)]
mod tests;
