//! What `mount` is told about publishing.

use crate::error::Result;
use crate::path::make_absolute;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `mount` is told about publishing.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct AnchorArgs {
    /// Where versions are published, so that an older volume cannot be passed off as the newest:
    /// eth:FILE, the configuration of a staking contract (docs/operations.md); file:PATH, to try it
    /// out (a writer of that file can roll the volume back)
    #[arg(long, value_name = "ANCHOR", value_parser = OsStringValueParser::new().try_map(Spec::read), conflicts_with = "no_anchor")]
    pub(crate) anchor: Option<Spec>,
    /// Mount a volume that has been anchored without asking its anchor: it may be an old one
    #[arg(long)]
    pub(crate) no_anchor: bool,
    /// What to do at the mount when the anchor cannot be reached or trusted
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Policy::Refuse)]
    pub(crate) anchor_policy: Policy,
    /// Longest time between two publications, if anything changes: how far the volume can be rolled
    /// back
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::cli::values::time)]
    pub(crate) publish_interval: Duration,
    /// Bytes written (or held for the version published) after which a publication does not wait
    /// for the interval
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = crate::cli::values::size)]
    pub(crate) publish_bytes: u64,
    /// How often the mount asks the anchor for challenges of the volume
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::cli::values::time)]
    pub(crate) challenge_interval: Duration,
    /// Longest time that an unmount waits for the last publication; the volume is committed in any
    /// case
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::cli::values::time)]
    pub(crate) publish_last: Duration,
}

/// What to do when an anchor cannot be reached, or cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// Do not mount.
    Refuse,
    /// Ask again until it answers.
    Wait,
    /// Mount what is there, read-only: it may be old.
    ReadOnly,
}

impl AnchorArgs {
    /// Has its paths lead to the same files wherever the process works.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub(crate) fn make_absolute(&mut self) -> Result<()> {
        // Every field by name: one that is added is looked at here.
        let Self {
            anchor,
            no_anchor: _,
            anchor_policy: _,
            publish_interval: _,
            publish_bytes: _,
            challenge_interval: _,
            publish_last: _,
        } = self;
        match anchor {
            Some(Spec::File(path) | Spec::Eth(path)) => make_absolute(path),
            None => Ok(()),
        }
    }
}

/// An anchor as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spec {
    /// A file, for trying out.
    File(#[serde(with = "crate::path")] PathBuf),
    /// The staking contract, by the file that configures it.
    Eth(#[serde(with = "crate::path")] PathBuf),
}

impl Spec {
    fn read(text: OsString) -> std::result::Result<Self, String> {
        let path = |kind: &[u8]| {
            let path = text.as_bytes().strip_prefix(kind)?;
            (!path.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(path)))
        };
        let spec = path(b"file:").map(Self::File);
        spec.or_else(|| path(b"eth:").map(Self::Eth)).ok_or_else(|| {
            let text = text.display();
            format!("`{text}` is no anchor: write eth:FILE or file:PATH")
        })
    }

    /// The file that is written to at each publication, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Eth(_) => None,
        }
    }

    /// A warning to users who trust this anchor, if it does not protect as an anchor should.
    pub(crate) fn warning(&self) -> Option<String> {
        match self {
            Self::File(path) => Some(format!(
                "the anchor {} is for trying out: a writer of this file can roll the volume back unnoticed",
                path.display()
            )),
            Self::Eth(_) => None,
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Eth(path) => write!(f, "eth:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_read_as_they_are_written() {
        let read = |text: &str| Spec::read(text.into());
        let spec = read("file:/run/a:b").unwrap();
        assert_eq!(spec, Spec::File("/run/a:b".into()));
        assert_eq!(read(&spec.to_string()).unwrap(), spec);
        let eth = read("eth:/etc/cairn/chain.toml").unwrap();
        assert_eq!(read(&eth.to_string()).unwrap(), eth);
        assert_eq!(eth.warning(), None);
        assert!(read("file:").is_err() && read("/run/a").is_err() && read("ftp:x").is_err());
        assert!(spec.warning().is_some_and(|warning| warning.contains("/run/a:b")));
        let odd = OsStr::from_bytes(b"file:/run/caf\xe9").to_owned();
        let path = OsStr::from_bytes(b"/run/caf\xe9");
        assert_eq!(Spec::read(odd), Ok(Spec::File(path.into())));
    }
}
