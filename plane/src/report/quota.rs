//! What `quota` and `status` tell of a volume's limits.

use crate::text::human;
use cairn_fs::Status;
use serde::{Deserialize, Serialize};

/// How much of something there is, and how much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Use {
    /// In the newest commit.
    pub(crate) used: u64,
    /// At most; `None` for no limit.
    pub(crate) limit: Option<u64>,
}

/// Limits, and what counts towards them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotaReport {
    /// Bytes of the live tree's files; snapshots do not count.
    pub(crate) bytes: Use,
    /// Files, directories and all else with an inode, the root included.
    pub(crate) inodes: Use,
    /// Bytes that no commit holds yet. They count towards the limit, too.
    pub(crate) dirty_bytes: u64,
}

impl Use {
    fn words(&self, number: impl Fn(u64) -> String) -> String {
        let used = number(self.used);
        match self.limit {
            Some(limit) => {
                let percent = u128::from(self.used) * 100 / u128::from(limit.max(1));
                format!("{used} of {} ({percent} %)", number(limit))
            }
            None => format!("{used}, no limit"),
        }
    }
}

impl QuotaReport {
    /// For people, on two lines.
    pub(crate) fn words(&self) -> String {
        let dirty = match self.dirty_bytes {
            0 => String::new(),
            dirty => format!("; {} not yet committed", human(dirty)),
        };
        let (bytes, inodes) = (self.bytes.words(human), self.inodes.words(plain));
        format!("bytes   {bytes}{dirty}\ninodes  {inodes}")
    }

    /// The limits as a line of `status`.
    pub(crate) fn line(&self) -> String {
        let limit = |limit: Option<u64>, words: fn(u64) -> String| limit.map_or("no limit".into(), words);
        let (bytes, inodes) = (limit(self.bytes.limit, human), limit(self.inodes.limit, plain));
        format!("quota       {bytes} for bytes, {inodes} for inodes")
    }
}

fn plain(number: u64) -> String {
    number.to_string()
}

impl From<&Status> for QuotaReport {
    fn from(status: &Status) -> Self {
        Self {
            bytes: Use {
                used: status.used_bytes,
                limit: status.quota.bytes,
            },
            inodes: Use {
                used: status.inodes,
                limit: status.quota.inodes,
            },
            dirty_bytes: status.dirty_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_with_its_share_and_none_as_none() {
        let mut quota = QuotaReport {
            bytes: Use {
                used: 512 << 10,
                limit: Some(1 << 20),
            },
            inodes: Use { used: 7, limit: None },
            dirty_bytes: 0,
        };
        assert_eq!(
            quota.words(),
            "bytes   512.00 KiB of 1.00 MiB (50 %)\ninodes  7, no limit"
        );
        quota.dirty_bytes = 1 << 10;
        assert!(quota.words().contains("(50 %); 1.00 KiB not yet committed"));
        assert_eq!(
            quota.line(),
            "quota       1.00 MiB for bytes, no limit for inodes"
        );
    }
}
