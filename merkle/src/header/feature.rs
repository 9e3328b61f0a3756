//! Features: what a volume has that builds before it do not know.
//!
//! Each stands in the header by name, with what it keeps a build from that does not know it. So an
//! old build refuses by the right name, or reads on, and never guesses.

use super::take::take;
use crate::{Error, Result};

/// Stored bytes of a feature: its need, its name.
pub(super) const FEATURE_LEN: usize = 1 + NAME_LEN_MAX;
const NAME_LEN_MAX: usize = 32;

/// Names that this build knows: none yet.
const KNOWN: &[&str] = &[];

/// What knowing a feature is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To read the volume at all.
    Reading,
    /// To change it. Reading needs nothing new.
    Writing,
}

/// A feature by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is needed for.
    pub need: Need,
    /// 1 to 32 of `a` to `z`, `0` to `9` and `-`: it is printed before any key has proven it.
    pub name: String,
}

impl Feature {
    /// Whether this build knows it.
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.name.as_str())
    }

    pub(super) fn encode(&self, stored: &mut Vec<u8>) {
        stored.push(match self.need {
            Need::Reading => 1,
            Need::Writing => 2,
        });
        let mut name = [0; NAME_LEN_MAX];
        let len = self.name.len().min(NAME_LEN_MAX);
        name[..len].copy_from_slice(&self.name.as_bytes()[..len]);
        stored.extend_from_slice(&name);
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self> {
        let [need] = take(rest)?;
        let name: [u8; NAME_LEN_MAX] = take(rest)?;
        let need = match need {
            1 => Need::Reading,
            2 => Need::Writing,
            _ => {
                return Err(Error::Header {
                    why: "this build does not know what one of its features is needed for",
                });
            }
        };
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN_MAX);
        let (name, zeros) = name.split_at(len);
        let name = String::from_utf8_lossy(name).into_owned();
        let feature = Self { need, name };
        feature.require_valid()?;
        match zeros.iter().all(|byte| *byte == 0) {
            true => Ok(feature),
            false => Err(Error::Header {
                why: "the name of one of its features goes on behind its end",
            }),
        }
    }

    pub(super) fn require_valid(&self) -> Result<()> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let in_bounds = (1..=NAME_LEN_MAX).contains(&self.name.len());
        match in_bounds && self.name.bytes().all(allowed) {
            true => Ok(()),
            false => Err(Error::Header {
                why: "the name of one of its features is none",
            }),
        }
    }
}
