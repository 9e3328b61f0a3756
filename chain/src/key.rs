//! Keys of accounts: the signer's, and the payer's for gas. They are never the same key, and
//! never the volume's.
//!
//! ```text
//! Signer in the TEE:   a file sealed to it, or a secret that a program of the TEE hands out  --> Key --> 65 bytes
//! gas, parties:        a file with mode 0600                                                 --> Key --> transactions
//! ```
//!
//! The signer's secret is made inside the TEE and shown to neither party: its holder can report
//! faults and take the stake. **Invariant:** secrets are zeroized when dropped, stand in no
//! message and in no `Debug`.

use crate::error::{Error, Result};
use ethers_core::types::Address;
use ethers_core::utils::secret_key_to_address;
use k256::ecdsa::SigningKey;
use rand::Rng;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// 64 hexadecimal digits, a prefix and a newline, with room for blanks.
const FILE_BYTES_MAX: u64 = 128;

/// A secp256k1 key and the account it belongs to.
#[derive(Clone)]
pub struct Key {
    // Zeroizes itself.
    secret: SigningKey,
    address: Address,
}

impl Key {
    /// The key with these 32 bytes, if they are one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let secret = SigningKey::from_slice(bytes).ok()?;
        let address = secret_key_to_address(&secret);
        Some(Self { secret, address })
    }

    /// A fresh key.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            rand::rng().fill_bytes(&mut bytes[..]);
            // All but 2^-128 of the values are keys.
            if let Some(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// Reads the key in `path`: 64 hexadecimal digits, in a file that only its owner may read.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Key {
            path: path.into(),
            why,
        };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mode = file.metadata().map_err(|error| wrong(error.to_string()))?.mode();
        if mode & 0o077 != 0 {
            return Err(wrong(format!(
                "others may read it (mode {:03o}): chmod 600 it",
                mode & 0o777
            )));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        let bytes = parse(&text).ok_or_else(|| wrong("it should hold 64 hexadecimal digits".into()))?;
        Self::from_bytes(&bytes).ok_or_else(|| wrong("these digits are no secp256k1 key".into()))
    }

    /// Makes a key in `path`, which must not exist, and is durable there before it is used.
    pub fn create(path: &Path) -> Result<Self> {
        let wrong = |error: std::io::Error| Error::Key {
            path: path.into(),
            why: error.to_string(),
        };
        let key = Self::random();
        let secret = Zeroizing::new(key.secret.to_bytes().to_vec());
        let mut text = Zeroizing::new(String::with_capacity(65));
        secret
            .iter()
            .for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(wrong)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(wrong)?;
        let absolute = std::path::absolute(path).map_err(wrong)?;
        let parent = absolute.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(wrong)?;
        Ok(key)
    }

    /// Its account.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest: `r | s | v` with low s, as the contract wants it.
    pub fn sign(&self, digest: &[u8; 32]) -> [u8; 65] {
        let (signature, recovery) = self
            .secret
            .sign_prehash_recoverable(digest)
            .expect("any 32 bytes can be signed");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        bytes
    }

    /// The same in 64 bytes, `r` and `vs` (EIP-2098): the parity of v lies in the highest bit of s,
    /// which is free.
    pub fn sign_compact(&self, digest: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
        let signature = self.sign(digest);
        let (mut r, mut vs) = ([0; 32], [0; 32]);
        r.copy_from_slice(&signature[..32]);
        vs.copy_from_slice(&signature[32..64]);
        vs[0] |= (signature[64] - 27) << 7;
        (r, vs)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key of {:?}", self.address)
    }
}

pub(crate) fn parse(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    let mut bytes = Zeroizing::new([0; 32]);
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Where the signer's key comes from.
pub trait SignerProvider {
    /// The key.
    fn signer(&self) -> Result<Key>;
}

/// In a file that only the TEE can read: on a disk sealed to it, or in its memory.
#[derive(Clone, Debug)]
pub struct SignerFile {
    /// Where.
    pub path: PathBuf,
}

impl SignerProvider for SignerFile {
    fn signer(&self) -> Result<Key> {
        Key::read(&self.path)
    }
}

/// From a secret of the TEE: a program prints it, such as the client of a key broker or of the
/// TEE's own agent. The same secret gives the same key, so nothing needs to be kept.
#[derive(Clone, Debug)]
pub struct SignerCommand {
    /// Program and arguments.
    pub command: Vec<String>,
}

impl SignerProvider for SignerCommand {
    fn signer(&self) -> Result<Key> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| Error::Config("signer.command names no program".into()))?;
        let wrong = |why: String| Error::Key {
            path: program.into(),
            why,
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| wrong(error.to_string()))?;
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
        let read = match child.stdout.take() {
            Some(output) => output.take(FILE_BYTES_MAX + 1).read_to_end(&mut text),
            None => Ok(0),
        };
        let status = child.wait().map_err(|error| wrong(error.to_string()))?;
        read.map_err(|error| wrong(error.to_string()))?;
        if !status.success() {
            return Err(wrong(format!("it ended with {status}")));
        }
        let secret = parse(&text).ok_or_else(|| wrong("it should print 64 hexadecimal digits".into()))?;
        Ok(derive(&secret))
    }
}

/// A secret of the TEE serves several ends: a key of its own for this one.
fn derive(secret: &[u8; 32]) -> Key {
    let mut material = Zeroizing::new([0; 33]);
    material[..32].copy_from_slice(secret);
    loop {
        let bytes = Zeroizing::new(blake3::derive_key("cairn 2026-11 chain signer", &material[..]));
        if let Some(key) = Key::from_bytes(&bytes) {
            return key;
        }
        // Happens once in 2^128 secrets.
        material[32] = material[32].wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ethers_core::types::{H256, Signature};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_signature_is_low_and_recovers_to_the_account() {
        let key = Key::random();
        for byte in 0..32 {
            let bytes = key.sign(&[byte; 32]);
            let signature = Signature::try_from(&bytes[..]).unwrap();
            assert_eq!(signature.recover(H256([byte; 32])).unwrap(), key.address());
            assert!(bytes[32] < 0x80, "s is in the lower half");
        }
    }

    #[test]
    fn a_compact_signature_is_the_same_in_64_bytes() {
        let key = Key::random();
        for byte in 0..32 {
            let bytes = key.sign(&[byte; 32]);
            let (r, vs) = key.sign_compact(&[byte; 32]);
            let parity = vs[0] >> 7;
            let s = [&[vs[0] & 0x7f], &vs[1..]].concat();
            assert_eq!([&r[..], &s, &[27 + parity]].concat(), bytes);
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = Key::create(&path).unwrap();
        assert_eq!(Key::read(&path).unwrap().address(), made.address());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        Key::create(&path).unwrap_err();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let refused = Key::read(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        assert!(!format!("{made:?}").contains(&std::fs::read_to_string(&path).unwrap()[..16]));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in [
            &[b'0'; 64][..],
            &[b'f'; 64],
            &[b'1'; 63],
            &[b'1'; 200],
            b"",
            b"+1",
        ] {
            assert!(parse(wrong).and_then(|bytes| Key::from_bytes(&bytes)).is_none());
        }
    }

    #[test]
    fn a_secret_of_the_tee_gives_the_same_key_each_time_and_never_itself() {
        let secret = "11".repeat(32);
        let command = |text: &str| SignerCommand {
            command: vec!["printf".into(), text.into()],
        };
        let key = command(&secret).signer().unwrap();
        assert_eq!(key.address(), command(&secret).signer().unwrap().address());
        assert_ne!(key.address(), Key::from_bytes(&[0x11; 32]).unwrap().address());
        command("short").signer().unwrap_err();
        SignerCommand {
            command: vec!["false".into()],
        }
        .signer()
        .unwrap_err();
        SignerCommand { command: vec![] }.signer().unwrap_err();
    }
}
