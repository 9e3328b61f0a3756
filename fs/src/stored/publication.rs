//! What a commit says about the anchor.

use crate::stored::codec::{Decoder, Encoder};
use cairn_merkle::{Epoch, Version};

/// Versions on their way at one time. A publisher has one; a mount that finds its anchor silent
/// inherits another.
pub(crate) const SUBMITTED_MAX: usize = 16;

/// What a commit says about the anchor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Publication {
    /// The last version known to be anchored.
    pub(crate) anchored: Option<Version>,
    /// Versions submitted and not yet confirmed, oldest first.
    pub(crate) submitted: Vec<Version>,
    /// The newest epoch in which anything changed that is worth publishing: commits that only note
    /// a publication, or that only begin a mount, must not bring about the next one.
    pub(crate) changed: Epoch,
    /// Whether the instance that made this commit publishes: then this very version may have been
    /// submitted, which it cannot say itself.
    pub(crate) publishing: bool,
}

impl Publication {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.u64(self.changed.0).u8(u8::from(self.publishing));
        out.u8(u8::from(self.anchored.is_some()));
        if let Some(anchored) = &self.anchored {
            encode_version(anchored, out);
        }
        out.u8(u8::try_from(self.submitted.len()).expect("SUBMITTED_MAX fits a byte"));
        for version in &self.submitted {
            encode_version(version, out);
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> cairn_merkle::Result<Self> {
        let changed = Epoch(from.u64()?);
        let publishing = match from.u8()? {
            0 => false,
            1 => true,
            _ => return Err(from.error("whether it publishes is neither yes nor no")),
        };
        let anchored = match from.u8()? {
            0 => None,
            1 => Some(decode_version(from)?),
            _ => return Err(from.error("it has several anchored versions")),
        };
        let count = usize::from(from.u8()?);
        if count > SUBMITTED_MAX {
            return Err(from.error("too many versions are submitted"));
        }
        let submitted: Vec<Version> = (0..count)
            .map(|_| decode_version(from))
            .collect::<cairn_merkle::Result<_>>()?;
        let grow = anchored.iter().chain(&submitted).map(|version| version.epoch);
        if !grow.clone().zip(grow.skip(1)).all(|(one, next)| one < next) {
            return Err(from.error("published versions are out of order"));
        }
        Ok(Self {
            anchored,
            submitted,
            changed,
            publishing,
        })
    }

    /// `latest` is what the anchor has, and nothing submitted before can reach it any more.
    pub(crate) fn settle(&mut self, latest: Option<Version>) {
        self.anchored = latest.or(self.anchored);
        self.submitted.clear();
        self.publishing = true;
    }

    /// A volume whose newest version is `head` goes on without asking an anchor. If the instance
    /// that made that version publishes, it may have been submitted.
    pub(crate) fn go_on(&mut self, head: Version) {
        if !std::mem::take(&mut self.publishing) || self.anchored == Some(head) {
            return;
        }
        if self.submitted.len() >= SUBMITTED_MAX {
            self.submitted.remove(0);
        }
        self.submitted.push(head);
    }
}

fn encode_version(version: &Version, out: &mut Encoder) {
    out.u64(version.epoch.0).raw(&version.root.digest());
}

fn decode_version(from: &mut Decoder<'_>) -> cairn_merkle::Result<Version> {
    Ok(Version::from_digest(from.u64()?, from.array()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(epoch: u64) -> Version {
        Version::from_digest(epoch, [epoch as u8; 32])
    }

    fn encoded(publication: &Publication) -> Vec<u8> {
        let mut out = Encoder::default();
        publication.encode(&mut out);
        out.0
    }

    fn decoded(bytes: &[u8]) -> cairn_merkle::Result<Publication> {
        let mut from = Decoder::new("commit", bytes);
        let publication = Publication::decode(&mut from)?;
        from.finish()?;
        Ok(publication)
    }

    #[test]
    fn a_publication_decodes_to_what_was_encoded_and_must_be_in_order() {
        for anchored in [None, Some(version(3))] {
            for submitted in [vec![], vec![version(5)], vec![version(5), version(8)]] {
                let publication = Publication {
                    anchored,
                    submitted,
                    changed: Epoch(9),
                    publishing: anchored.is_some(),
                };
                let bytes = encoded(&publication);
                assert_eq!(decoded(&bytes).unwrap(), publication);
                for len in 0..bytes.len() {
                    assert!(decoded(&bytes[..len]).is_err());
                }
            }
        }
        for submitted in [
            vec![version(2)],
            vec![version(5), version(5)],
            vec![version(9), version(5)],
        ] {
            let publication = Publication {
                anchored: Some(version(3)),
                submitted,
                changed: Epoch(9),
                publishing: true,
            };
            assert!(decoded(&encoded(&publication)).is_err());
        }
        let many = Publication {
            submitted: (1..=SUBMITTED_MAX as u64 + 1).map(version).collect(),
            ..Publication::default()
        };
        assert!(decoded(&encoded(&many)).is_err());
    }
}
