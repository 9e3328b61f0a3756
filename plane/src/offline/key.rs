//! Where a volume's key-encryption key comes from.
//!
//! ```text
//! key file (32 random bytes as 64 hex digits) --------------> Kek --> opens or makes a KeyFile slot
//! passphrase --Argon2id, parameters from the slot's header--> Kek --> opens or makes an Argon2id slot
//! ```
//!
//! Other sources (a key broker, a sealed key of the TEE) become further implementations of
//! [`KeyProvider`].
//!
//! **Invariant:** secrets are zeroized when dropped, are never logged, and never stand in a command
//! line. They pass through no buffer of a library: what reads ahead keeps a copy. A key is written
//! straight to where it stays ([`Kek`]).

use crate::cli::key::KeyArgs;
use crate::error::{Error, Result};
use crate::offline::unfinished::{UnfinishedFile, writing};
use crate::output;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use cairn_merkle::{Kek, SlotKey, SlotKind};
use rand::rngs::SysRng;
use rand::{Rng, TryRng};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// The environment variable a passphrase may come from.
const ENV: &str = "CAIRN_PASSPHRASE";
/// Cost of a new passphrase slot: 64 MiB and three passes, the second recommendation of RFC 9106
/// with one lane. So a plane with little memory opens what another created.
const M_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// Longer than any passphrase, shorter than what hurts.
const SECRET_BYTES_MAX: usize = 64 << 10;

/// Something that gives the key-encryption key of a volume.
pub(crate) trait KeyProvider {
    /// The key for a slot of this kind, or `None` if this provider has nothing to do with such
    /// slots.
    fn kek(&self, kind: &SlotKind) -> Result<Option<Kek>>;
    /// A slot for a new volume, or for a volume that gets a new key.
    fn new_slot(&self) -> Result<SlotKey>;
    /// For messages: what was tried, without telling anything of the secret.
    fn describe(&self) -> String;
}

/// 32 random bytes in a file.
pub(crate) struct FileKey {
    path: PathBuf,
    key: Kek,
}

/// Words that a user remembers.
pub(crate) struct Passphrase {
    words: Zeroizing<Vec<u8>>,
}

/// What happens to a key file, or a passphrase, that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    /// A key file is created; a passphrase is asked for twice.
    Create,
    /// An error.
    Refuse,
}

/// The provider the command line asks for.
pub(crate) fn provider(args: &KeyArgs, if_absent: IfAbsent) -> Result<Box<dyn KeyProvider>> {
    if let Some(path) = &args.key_file {
        return Ok(Box::new(FileKey::open(path, if_absent)?));
    }
    if let Some(words) = passphrase(args, "Passphrase", if_absent)? {
        return Ok(Box::new(Passphrase { words }));
    }
    let ways =
        "give a key: --key-file FILE, --passphrase, --passphrase-file FILE or the variable CAIRN_PASSPHRASE";
    Err(Error::Usage(ways.into()))
}

/// The passphrase, if one was asked for.
pub(crate) fn passphrase(
    args: &KeyArgs,
    what: &str,
    if_absent: IfAbsent,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    if args.handed_over {
        return require_words(read_rest()?).map(Some);
    }
    if let Some(path) = &args.passphrase_file {
        let mut words = read_secret(path)?;
        // An editor ends the file with a newline that no user types at a prompt.
        while words.last().is_some_and(|&b| b == b'\n' || b == b'\r') {
            words.pop();
        }
        return require_words(words).map(Some);
    }
    if args.passphrase {
        return ask(what, if_absent).map(Some);
    }
    let Some(words) = std::env::var_os(ENV) else {
        return Ok(None);
    };
    output::warn(&format!(
        "{ENV} is visible to every process of this user; prefer --passphrase-file"
    ));
    require_words(Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(words))).map(Some)
}

/// Asks on the terminal. Without one it takes a line of standard input, so that scripts need no
/// argument that every user sees.
fn ask(what: &str, if_absent: IfAbsent) -> Result<Zeroizing<Vec<u8>>> {
    if !std::io::stdin().is_terminal() {
        return require_words(read_line()?);
    }
    let words = prompt(what)?;
    if if_absent == IfAbsent::Create && *prompt(&format!("{what} again"))? != *words {
        return Err(Error::Usage(
            "the two passphrases differ: nothing was done".into(),
        ));
    }
    require_words(words)
}

/// Asks on the terminal that standard input is, without an echo.
fn prompt(what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let silent = Silence::begin().map_err(|error| Error::io("cannot silence the terminal", error))?;
    eprint!("{what}: ");
    let words = read_line();
    drop(silent);
    eprintln!();
    words
}

/// While it lives the terminal shows nothing of what is typed.
struct Silence(Termios);

impl Silence {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// A line of standard input, byte by byte: Rust's own buffer for it would keep the words for as
/// long as the process lives.
fn read_line() -> Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    let mut byte = [0];
    loop {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut byte));
        let read = read.map_err(|error| Error::io("cannot read the passphrase", error))?;
        if read == 0 || byte == *b"\n" {
            return Ok(line);
        }
        if line.len() == SECRET_BYTES_MAX {
            return Err(too_long("the passphrase"));
        }
        line.push(byte[0]);
    }
}

/// What is left of standard input, straight to where it stays.
fn read_rest() -> Result<Zeroizing<Vec<u8>>> {
    let mut rest = Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1]);
    let mut len = 0;
    loop {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut rest[len..]));
        match read.map_err(|error| Error::io("cannot read the passphrase", error))? {
            0 if len > SECRET_BYTES_MAX => return Err(too_long("the passphrase")),
            0 => break,
            read => len += read,
        }
    }
    rest.truncate(len);
    Ok(rest)
}

fn too_long(what: &str) -> Error {
    Error::Usage(format!("{what} is longer than 64 KiB"))
}

fn require_words(words: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    if words.is_empty() {
        Err(Error::Usage("the passphrase is empty".into()))
    } else {
        Ok(words)
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).map_err(Error::at("open", path))?;
    let metadata = file.metadata().map_err(Error::at("read", path))?;
    if metadata.is_dir() {
        return Err(Error::Usage(format!(
            "{} is a directory: name a file",
            path.display()
        )));
    }
    let mode = metadata.mode();
    if mode & 0o077 != 0 {
        output::warn(&format!(
            "{} can be read by others (mode {:03o}): chmod 600 it",
            path.display(),
            mode & 0o777
        ));
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
        let (path, uid) = (path.display(), metadata.uid());
        output::warn(&format!(
            "{path} belongs to another user (uid {uid}), who can change it: chown it"
        ));
    }
    // All of it at once: a buffer that grows leaves its smaller ones behind, and those are not
    // wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 64));
    file.take(SECRET_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::at("read", path))?;
    match bytes.len() {
        ..=SECRET_BYTES_MAX => Ok(bytes),
        _ => Err(too_long(&path.display().to_string())),
    }
}

impl FileKey {
    /// Reads the key, or draws one.
    pub(crate) fn open(path: &Path, if_absent: IfAbsent) -> Result<Self> {
        if if_absent == IfAbsent::Create && !path.exists() {
            return Self::create(path);
        }
        let text = read_secret(path)?;
        let key = parse_hex(text.trim_ascii()).ok_or_else(|| {
            Error::Usage(format!(
                "{} is no key file: it should hold 64 hexadecimal digits",
                path.display()
            ))
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            key,
        })
    }

    /// Draws a key and makes it durable before anything is sealed with it: a volume whose key is
    /// lost is lost.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        // From the system itself: a generator in this process keeps what it has drawn.
        let key = Kek::try_filled(|key| SysRng.try_fill_bytes(key))
            .map_err(|error| Error::io("cannot draw a key", std::io::Error::other(error)))?;
        // Whole or not at all: half a key would be taken for one, and refused, by the next command.
        let mut unfinished = UnfinishedFile::create(path, 0o600)?;
        let written = unfinished.file.write_all(&hex_line(&key));
        written.map_err(|error| writing(path, error))?;
        unfinished.finish()?;
        Ok(Self {
            path: path.to_path_buf(),
            key,
        })
    }
}

/// What a key file holds.
pub(crate) fn hex_line(key: &Kek) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(Vec::with_capacity(65));
    for byte in key.as_bytes() {
        text.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
    text.push(b'\n');
    text
}

pub(crate) fn parse_hex(text: &[u8]) -> Option<Kek> {
    if text.len() != 64 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let parse = |key: &mut [u8; 32]| {
        for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digits(pair).ok_or(())?;
        }
        Ok::<_, ()>(())
    };
    Kek::try_filled(parse).ok()
}

impl KeyProvider for FileKey {
    fn kek(&self, kind: &SlotKind) -> Result<Option<Kek>> {
        Ok(matches!(kind, SlotKind::KeyFile).then(|| self.key.clone()))
    }

    fn new_slot(&self) -> Result<SlotKey> {
        Ok(SlotKey {
            kind: SlotKind::KeyFile,
            kek: self.key.clone(),
        })
    }

    fn describe(&self) -> String {
        format!("the key file {}", self.path.display())
    }
}

impl KeyProvider for Passphrase {
    fn kek(&self, kind: &SlotKind) -> Result<Option<Kek>> {
        let &SlotKind::Argon2id { salt, m_kib, t, p } = kind else {
            return Ok(None);
        };
        let failed = |error| Error::Usage(format!("the passphrase cannot be stretched: {error}"));
        let params = Params::new(m_kib, t, p, Some(32)).map_err(failed)?;
        let mut memory = vec![Block::default(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let kek = Kek::try_filled(|key| {
            argon2.hash_password_into_with_memory(&self.words, &salt, key, &mut memory)
        });
        // The key is a hash of the last of it.
        memory.iter_mut().for_each(Zeroize::zeroize);
        kek.map(Some).map_err(failed)
    }

    fn new_slot(&self) -> Result<SlotKey> {
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let kind = SlotKind::Argon2id {
            salt,
            m_kib: M_KIB,
            t: PASSES,
            p: LANES,
        };
        match self.kek(&kind)? {
            Some(kek) => Ok(SlotKey { kind, kek }),
            None => Err(Error::Usage("a passphrase makes a passphrase slot".into())),
        }
    }

    fn describe(&self) -> String {
        "this passphrase".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_file_is_created_private_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = FileKey::open(&path, IfAbsent::Create).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(FileKey::open(&path, IfAbsent::Refuse).unwrap().key == made.key);
        assert!(
            FileKey::create(&path).is_err(),
            "an existing key is never overwritten"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let hex = [b'a'; 64];
        assert!(parse_hex(&hex).is_some());
        assert!(parse_hex(&hex[1..]).is_none());
        assert!(parse_hex(&[b'+'; 64]).is_none());
    }

    #[test]
    fn a_secret_that_never_ends_is_refused_and_not_cut() {
        let refused = read_secret(Path::new("/dev/zero")).unwrap_err();
        assert!(refused.to_string().contains("64 KiB"), "{refused}");
    }

    #[test]
    fn a_passphrase_opens_the_slot_it_made_and_no_key_file_slot() {
        let words = Passphrase {
            words: Zeroizing::new(b"correct horse".to_vec()),
        };
        let slot = words.new_slot().unwrap();
        assert!(words.kek(&slot.kind).unwrap() == Some(slot.kek));
        assert!(words.kek(&SlotKind::KeyFile).unwrap().is_none());
    }
}
