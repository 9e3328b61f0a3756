//! What the commands of this folder are asked.

use crate::cli::key::KeyArgs;
use crate::path::make_absolute;
use cairn_merkle::Cid;
use clap::Args;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::path::PathBuf;

/// Which version of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct VersionArgs {
    /// The version to read, by the CID of its commit block [default: the newest]
    #[arg(long, value_name = "CID", value_parser = cid)]
    #[serde(serialize_with = "write_root", deserialize_with = "read_root")]
    pub(crate) root: Option<Cid>,
    /// A CAR with the blocks that this one leaves out; the newest first, if there are several
    #[arg(long, value_name = "CAR")]
    #[serde(with = "crate::path")]
    pub(crate) base: Vec<PathBuf>,
}

impl VersionArgs {
    /// Whether anything but the newest version of a store is asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.root.is_some() || !self.base.is_empty()
    }

    /// Has its paths lead to the same files wherever the process works.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub(crate) fn make_absolute(&mut self) -> crate::error::Result<()> {
        let Self { root: _, base } = self;
        base.iter_mut().try_for_each(make_absolute)
    }
}

/// `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Mount point, store, or a CAR
    pub(crate) place: PathBuf,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Threads that read and hash [default: twice the processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Mount point, store, or a CAR
    pub(crate) place: PathBuf,
    /// The file to write, which must not exist; `-` is standard output, for a CARv1
    #[arg(long, value_name = "FILE")]
    pub(crate) car: PathBuf,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Write a CARv1, a plain stream, instead of a CARv2 with an index
    #[arg(long)]
    pub(crate) v1: bool,
    /// Leave out what this older version has: the CID of its commit block, if it is still held, or
    /// a CAR of it
    #[arg(long, value_name = "CID|CAR")]
    pub(crate) since: Option<OsString>,
}

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The CAR
    pub(crate) car: PathBuf,
    /// Directory for the sealed blocks: new or empty
    pub(crate) store: PathBuf,
    /// A CAR with the blocks that this one leaves out; the newest first, if there are several
    #[arg(long, value_name = "CAR")]
    pub(crate) base: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

/// `prove`.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Mount point, store, or a CAR
    pub(crate) place: PathBuf,
    /// Path from the volume's root; `/.snapshots/NAME/…` is one in a snapshot
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// The file to write, which must not exist
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Prove the bytes of a file too, of up to 64 MiB
    #[arg(long)]
    pub(crate) content: bool,
}

/// `verify-proof`.
#[derive(Debug, Args)]
pub(crate) struct VerifyProofArgs {
    /// The proof
    pub(crate) proof: PathBuf,
    /// The root you trust: the one on chain
    #[arg(long, value_name = "CID", value_parser = cid)]
    pub(crate) root: Cid,
    /// Write the bytes of the file there, which must not exist
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn write_root<S: Serializer>(root: &Option<Cid>, to: S) -> Result<S::Ok, S::Error> {
    root.map(|root| root.to_string()).serialize(to)
}

fn read_root<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cid>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| cid(&text).map_err(serde::de::Error::custom))
        .transpose()
}

/// A CID as `status`, `audit` and the chain print it, or its hash as 64 hexadecimal digits.
pub(crate) fn cid(text: &str) -> Result<Cid, String> {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    let digest: Option<Vec<u8>> = (hex.len() == 64 && hex.is_ascii())
        .then(|| {
            (0..32)
                .map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16))
                .collect()
        })
        .and_then(Result::ok);
    if let Some(digest) = digest.and_then(|digest| <[u8; 32]>::try_from(digest).ok()) {
        return Ok(Cid::node(digest));
    }
    Cid::from_text(text)
        .ok_or_else(|| format!("`{text}` is no CID of a block: write bafyr4i… or the 64 digits of its hash"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::Codec;

    #[test]
    fn a_root_is_read_as_text_and_as_hash() {
        let root = Cid::of(Codec::Node, b"commit");
        let hex: String = root.digest().iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [root.to_string(), hex.clone(), format!("0x{hex}")] {
            assert_eq!(cid(&text), Ok(root));
        }
        for text in [
            "",
            "bafy",
            &hex[1..],
            "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy",
        ] {
            assert!(cid(text).is_err(), "{text}");
        }
    }
}
