//! What `mount` is told about publishing.

use crate::error::{Error, Result};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `mount` is told about publishing.
#[derive(Clone, Debug, Args)]
pub(crate) struct AnchorArgs {
    /// Where versions are published, so that an older volume cannot be passed off as the newest: eth:FILE, the
    /// configuration of a staking contract (docs/operations.md); file:PATH, to try it out (a writer of that file can
    /// roll the volume back)
    #[arg(long, value_name = "ANCHOR", value_parser = Spec::parse, conflicts_with = "no_anchor")]
    pub(crate) anchor: Option<Spec>,
    /// Mount a volume that has been anchored without asking its anchor: it may be an old one
    #[arg(long)]
    pub(crate) no_anchor: bool,
    /// What to do at the mount when the anchor cannot be reached or trusted
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Policy::Refuse)]
    pub(crate) anchor_policy: Policy,
    /// Longest time between two publications, if anything changes: how far the volume can be rolled back
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::cli::values::time)]
    pub(crate) publish_interval: Duration,
    /// Bytes written (or held for the version published) after which a publication does not wait for the interval
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = crate::cli::values::size)]
    pub(crate) publish_bytes: u64,
    /// How often the mount asks the anchor for challenges of the volume
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::cli::values::time)]
    pub(crate) challenge_interval: Duration,
    /// Longest time that an unmount waits for the last publication; the volume is committed in any case
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::cli::values::time)]
    pub(crate) publish_last: Duration,
}

/// What to do when an anchor cannot be reached, or cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// Do not mount.
    Refuse,
    /// Ask again until it answers.
    Wait,
    /// Mount what is there, read-only: it may be old.
    ReadOnly,
}

impl AnchorArgs {
    /// The same on the command line of the daemon, which works in `/`.
    pub(crate) fn to_args(&self) -> Result<Vec<OsString>> {
        let mut list: Vec<OsString> = Vec::new();
        if let Some(spec) = &self.anchor {
            list.extend(["--anchor".into(), spec.absolute()?.to_string().into()]);
        }
        list.extend(self.no_anchor.then(|| "--no-anchor".into()));
        let policy = match self.anchor_policy {
            Policy::Refuse => "refuse",
            Policy::Wait => "wait",
            Policy::ReadOnly => "read-only",
        };
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        for (name, value) in [
            ("--anchor-policy", policy.to_owned()),
            ("--publish-interval", ms(self.publish_interval)),
            ("--publish-bytes", self.publish_bytes.to_string()),
            ("--challenge-interval", ms(self.challenge_interval)),
            ("--publish-last", ms(self.publish_last)),
        ] {
            list.extend([name.into(), value.into()]);
        }
        Ok(list)
    }
}

/// An anchor as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spec {
    /// A file, for trying out.
    File(PathBuf),
    /// The staking contract, by the file that configures it.
    Eth(PathBuf),
}

impl Spec {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("eth", path)) if !path.is_empty() => Ok(Self::Eth(path.into())),
            _ => Err(format!("`{text}` is no anchor: write eth:FILE or file:PATH")),
        }
    }

    /// The same, wherever the process works.
    fn absolute(&self) -> Result<Self> {
        let whole = |path: &PathBuf| std::path::absolute(path).map_err(Error::at("find", path));
        match self {
            Self::File(path) => Ok(Self::File(whole(path)?)),
            Self::Eth(path) => Ok(Self::Eth(whole(path)?)),
        }
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
        let spec = Spec::parse("file:/run/a:b").unwrap();
        assert_eq!(spec, Spec::File("/run/a:b".into()));
        assert_eq!(Spec::parse(&spec.to_string()).unwrap(), spec);
        let eth = Spec::parse("eth:/etc/cairn/chain.toml").unwrap();
        assert_eq!(Spec::parse(&eth.to_string()).unwrap(), eth);
        assert_eq!(eth.warning(), None);
        assert!(
            Spec::parse("file:").is_err() && Spec::parse("/run/a").is_err() && Spec::parse("ftp:x").is_err()
        );
        assert!(spec.warning().is_some_and(|warning| warning.contains("/run/a:b")));
    }
}
