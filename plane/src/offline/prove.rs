//! `prove` and `verify-proof`: what a path leads to, or that it leads to nothing, shown to a reader
//! without the key.

use super::Place;
use super::unfinished::{UnfinishedFile, writing};
use crate::cli::verify::{ProveArgs, VerifyProofArgs};
use crate::error::{Error, Result};
use crate::mount::reads::client::{self, serving};
use crate::mount::state::Record;
use crate::offline::{place, tree, volume};
use crate::output::Output;
use crate::text::{hex, human};
use cairn_fs::{Absence, Attr, Finding, Outcome};
use cairn_merkle::Proof;
use serde::Serialize;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest proof that is read: content of 64 MiB and its nodes.
const PROOF_BYTES_MAX: u64 = 128 << 20;

/// What a proof shows, as an answer.
#[derive(Debug, Serialize)]
struct Shown {
    /// The commit block it holds under.
    root: String,
    volume_id: String,
    epoch: u64,
    path: String,
    /// Whether the path leads to something.
    there: bool,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<tree::Entry>,
    /// Extended attributes, in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(String, String)>,
    /// BLAKE3 of its bytes, if the proof has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_blake3: Option<String>,
    /// Where the path ends, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent_because: Option<String>,
    /// Other names that the nodes on the way lay open.
    also_shows: usize,
}

/// `prove`.
pub(crate) fn prove(args: &ProveArgs, out: &Output) -> Result<()> {
    let (encoded, finding) = match serving(&args.place)? {
        Some(record) => prove_served(record, args)?,
        None => prove_here(args)?,
    };
    let mut file = UnfinishedFile::create(&args.output, 0o666)?;
    file.file
        .write_all(&encoded)
        .map_err(|error| writing(&args.output, error))?;
    file.finish()?;
    let shown = Shown::new(&finding);
    out.show(&shown, || {
        let size = human(encoded.len() as u64);
        let others = match finding.also_shown.len() {
            0 => String::new(),
            count => format!(
                "\nwhoever gets the proof also sees {count} other names in the nodes it carries, with their attributes and \
                 the contents of those of up to 2 KiB"
            ),
        };
        format!("{}\nproof of {size} in {}{others}", shown.words(), args.output.display())
    })
}

/// With a key, over a store or a CAR.
fn prove_here(args: &ProveArgs) -> Result<(Vec<u8>, Finding)> {
    let place = Place::open(&args.place, &args.version)?;
    let (key, _) = place.unlock(&args.key)?;
    let path = args.path.as_os_str().as_bytes();
    let proven = cairn_fs::prove(place.store.as_ref(), &key, place.root, path, args.content);
    let (proof, finding) = proven.map_err(|error| match tree::unproven(&args.path, error) {
        Error::Fs(error) => volume::explain(&place.path, "", error),
        error => error,
    })?;
    Ok((proof.encode(), finding))
}

/// By the daemon, which has the key. What it proves is verified, and by that read.
fn prove_served(record: Record, args: &ProveArgs) -> Result<(Vec<u8>, Finding)> {
    place::refuse_base(&args.version)?;
    let (path, version) = (&args.path, &args.version);
    let (root, encoded) = client::prove(record, path, version.root, args.content, PROOF_BYTES_MAX)?;
    let refused = |error: &dyn std::fmt::Display| refused(&args.place, error);
    let proof = Proof::decode(&encoded).map_err(|error| refused(&error))?;
    if proof.root != root {
        return Err(refused(&"it is under another root than the daemon said"));
    }
    let finding = cairn_fs::verify_proof(&proof).map_err(|error| refused(&error))?;
    Ok((encoded, finding))
}

/// `verify-proof`.
pub(crate) fn verify_proof(args: &VerifyProofArgs, out: &Output) -> Result<()> {
    let path = &args.proof;
    let mut encoded = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::at("open", path))?;
    let read = file.take(PROOF_BYTES_MAX + 1).read_to_end(&mut encoded);
    read.map_err(Error::at("read", path))?;
    let proof = Proof::decode(&encoded).map_err(|error| refused(path, &error))?;
    // First: the root is all that the reader trusts. A proof under another one may hold, and shows
    // nothing.
    if proof.root != args.root {
        return Err(Error::OtherRoot {
            what: format!(
                "{} is a proof under {}, not under {}",
                path.display(),
                proof.root,
                args.root
            ),
        });
    }
    let finding = cairn_fs::verify_proof(&proof).map_err(|error| refused(path, &error))?;
    // Nothing of the content is written before the proof holds.
    if let Some(output) = &args.output {
        write_content(output, &finding)?;
    }
    let shown = Shown::new(&finding);
    out.show(&shown, || shown.words())
}

fn write_content(output: &Path, finding: &Finding) -> Result<()> {
    let Outcome::There {
        content: Some(content),
        ..
    } = &finding.outcome
    else {
        return Err(Error::Usage(
            "the proof carries no content: it was made without --content, or not of a file".into(),
        ));
    };
    let mut file = UnfinishedFile::create(output, 0o666)?;
    file.file
        .write_all(content)
        .map_err(|error| writing(output, error))?;
    file.finish()
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Damaged {
        store: path.to_path_buf(),
        what: format!("the proof does not hold: {error}"),
    }
}

impl Shown {
    fn new(finding: &Finding) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut shown = Self {
            root: finding.root.to_string(),
            volume_id: hex(&finding.volume_id),
            epoch: finding.epoch.0,
            path: text(&finding.path),
            there: false,
            inode: None,
            xattrs: Vec::new(),
            content_blake3: None,
            absent_because: None,
            also_shows: finding.also_shown.len(),
        };
        match &finding.outcome {
            Outcome::There {
                attr,
                xattrs,
                content,
            } => {
                shown.there = true;
                shown.inode = Some(entry(&shown.path, attr));
                shown.xattrs = xattrs
                    .iter()
                    .map(|(name, value)| (text(name), hex(value)))
                    .collect();
                shown.content_blake3 = content
                    .as_ref()
                    .map(|content| blake3::hash(content).to_hex().to_string());
            }
            Outcome::Absent { at, why } => {
                let at = text(at);
                shown.absent_because = Some(match why {
                    Absence::NoName => format!("there is no {at}"),
                    Absence::NoDirectory(kind) => format!("{at} is a {}", tree::word(*kind)),
                });
            }
        }
        shown
    }

    fn words(&self) -> String {
        let under = format!(
            "under {} (volume {}, epoch {})",
            self.root, self.volume_id, self.epoch
        );
        let what = match (&self.inode, &self.absent_because) {
            (Some(inode), _) => inode.long(),
            (None, Some(why)) => format!("{} is absent: {why}", self.path),
            (None, None) => self.path.clone(),
        };
        let hash = self
            .content_blake3
            .as_ref()
            .map_or(String::new(), |hash| format!("\ncontent, BLAKE3 {hash}"));
        format!("{what}{hash}\n{under}")
    }
}

fn entry(path: &str, attr: &Attr) -> tree::Entry {
    tree::Entry::new(path.to_owned(), attr)
}
