//! Values as people type them: sizes, times, limits, words of mount(8).

use cairn_fs::MountFlag;
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

/// What an option changes; those that name the default change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordMeans {
    ReadOnly,
    Flag(MountFlag),
}

/// An option of mount(8).
pub(crate) fn mount_word(text: &str) -> Result<MountWord, String> {
    let means = match text {
        "ro" => Some(WordMeans::ReadOnly),
        "nosuid" => Some(WordMeans::Flag(MountFlag::NoSuid)),
        "nodev" => Some(WordMeans::Flag(MountFlag::NoDev)),
        "noexec" => Some(WordMeans::Flag(MountFlag::NoExec)),
        "noatime" => Some(WordMeans::Flag(MountFlag::NoAtime)),
        "sync" => Some(WordMeans::Flag(MountFlag::Sync)),
        "dirsync" => Some(WordMeans::Flag(MountFlag::DirSync)),
        "rw" | "suid" | "dev" | "exec" | "atime" | "relatime" | "async" | "defaults" => None,
        _ => {
            return Err(format!(
                "`{text}` is no option Cairn knows: ro, rw, nosuid, nodev, noexec, noatime, sync, dirsync"
            ));
        }
    };
    Ok(MountWord {
        text: text.to_owned(),
        means,
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
        assert!(mount_word("user_xattr").is_err());
        assert_eq!(memory("256M"), Ok(256 << 20));
        assert!(memory("255M").is_err());
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(span("0s").is_err() && span("1w").is_err() && span("99999999999999999999d").is_err());
        assert!(time("0s").is_err() && time("5h").is_err());
    }
}
