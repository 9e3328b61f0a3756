//! Values as people type them: sizes, times, limits, words of mount(8).

use cairn_fs::MountFlag;
use cairn_merkle::Suite;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A quota as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<u64>);

pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        Ok(Limit(None))
    } else {
        size(text).map(|n| Limit(Some(n)))
    }
}

/// `128K`, `10G`, `2T`: powers of 1024, with or without `iB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size: write 4096, 128K, 512M, 10G or 2T");
    let digits = text.trim_end_matches("iB").trim_end_matches('B');
    let split = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, unit) = digits.split_at(split);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).filter(|&n| n > 0).ok_or_else(bad)
}

/// One option of mount(8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct MountWord {
    /// As it was written.
    pub(crate) text: String,
    pub(crate) means: Option<WordMeans>,
}

impl From<MountWord> for String {
    fn from(word: MountWord) -> Self {
        word.text
    }
}

impl TryFrom<String> for MountWord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        mount_word(&text)
    }
}

/// What an option changes; others are for mount(8), systemd and people, and change nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordMeans {
    ReadOnly,
    ReadWrite,
    Flag(MountFlag),
    /// Takes back what an option before it said.
    Not(MountFlag),
    /// Users may mount it: no set-id bits and no devices, and without `true` no programs either.
    ByUsers {
        programs: bool,
    },
}

/// An option of mount(8).
pub(crate) fn mount_word(text: &str) -> Result<MountWord, String> {
    use MountFlag::{DirSync, NoAtime, NoDev, NoExec, NoSuid, Sync};
    use WordMeans::{ByUsers, Flag, Not, ReadOnly, ReadWrite};
    let means = match text {
        "ro" => Some(ReadOnly),
        "rw" => Some(ReadWrite),
        "nosuid" => Some(Flag(NoSuid)),
        "suid" => Some(Not(NoSuid)),
        "nodev" => Some(Flag(NoDev)),
        "dev" => Some(Not(NoDev)),
        "noexec" => Some(Flag(NoExec)),
        "exec" => Some(Not(NoExec)),
        "noatime" => Some(Flag(NoAtime)),
        "atime" => Some(Not(NoAtime)),
        "sync" => Some(Flag(Sync)),
        "async" => Some(Not(Sync)),
        "dirsync" => Some(Flag(DirSync)),
        "user" | "users" => Some(ByUsers { programs: false }),
        "owner" | "group" => Some(ByUsers { programs: true }),
        _ if is_for_others(text) => None,
        _ => {
            return Err(format!(
                "`{text}` is no option Cairn knows: ro, rw, nosuid, nodev, noexec, noatime, sync, dirsync and their \
                 opposites, and what fstab tells mount(8) and systemd"
            ));
        }
    };
    Ok(MountWord {
        text: text.to_owned(),
        means,
    })
}

/// Options that are not for the filesystem: when it is mounted, by which user, what is written
/// beside it.
fn is_for_others(text: &str) -> bool {
    let whole = [
        "defaults",
        "auto",
        "noauto",
        "nofail",
        "_netdev",
        "nouser",
        "nousers",
        "noowner",
        "nogroup",
        "relatime",
        "norelatime",
        "diratime",
        "nodiratime",
        "strictatime",
        "nostrictatime",
        "lazytime",
        "nolazytime",
        "iversion",
        "noiversion",
        "silent",
        "loud",
    ];
    let begins = ["x-", "X-", "comment=", "user="];
    whole.contains(&text) || begins.iter().any(|begin| text.starts_with(begin))
}

/// A cipher by its name.
pub(crate) fn cipher(text: &str) -> Result<Suite, String> {
    Suite::from_name(text).ok_or_else(|| {
        let names = Suite::ALL.map(Suite::name).join(" or ");
        format!("`{text}` is no cipher Cairn knows: write {names}")
    })
}

/// A size that a daemon can live with.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 256 << 20;
    size(text).and_then(|bytes| match bytes {
        LEAST.. => Ok(bytes),
        _ => Err(format!("`{text}` is too little: the daemon needs 256M")),
    })
}

/// `30s`, `10m`, `12h`, `7d`: what people and not machines wait for.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: write 30s, 10m, 12h or 7d");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(bad()),
    };
    number
        .checked_mul(seconds)
        .filter(|&time| time > 0)
        .map(Duration::from_secs)
        .ok_or_else(bad)
}

/// `5s`, `500ms`, `2m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: write 500ms, 5s or 2m");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(bad()),
    };
    let day = Duration::from_secs(24 * 60 * 60);
    if (Duration::from_millis(10)..=day).contains(&time) {
        Ok(time)
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_as_people_write_them() {
        assert_eq!(size("128K"), Ok(128 << 10));
        assert_eq!(size("10GiB"), Ok(10 << 30));
        assert!(
            size("0").is_err() && size("-1").is_err() && size("10X").is_err() && size("99999999T").is_err()
        );
        assert_eq!(
            mount_word("ro").map(|word| word.means),
            Ok(Some(WordMeans::ReadOnly))
        );
        assert!(mount_word("user_xattr").is_err() && mount_word("remount").is_err());
        assert!(mount_word("x-systemd.automount").is_ok_and(|word| word.means.is_none()));
        assert_eq!(cipher("aes-256-gcm"), Ok(Suite::Aes256Gcm));
        assert!(
            cipher("aes-128-gcm")
                .unwrap_err()
                .contains("chacha20-poly1305 or aes-256-gcm")
        );
        assert_eq!(memory("256M"), Ok(256 << 20));
        assert!(memory("255M").is_err());
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(span("0s").is_err() && span("1w").is_err() && span("99999999999999999999d").is_err());
        assert!(time("0s").is_err() && time("5h").is_err());
    }
}
