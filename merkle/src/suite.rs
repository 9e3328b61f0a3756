//! The ciphers that a volume may be sealed with.
//!
//! Both are AEADs with keys of 32 bytes, nonces of 12 and tags of 16, and both turn any part of a
//! ciphertext into plaintext without the rest. A volume has one of them for life. Its header names
//! it, and each key of the volume carries it, so that no key is ever used with the other one.

/// A cipher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// ChaCha20-Poly1305 of RFC 8439: fast on any processor.
    #[default]
    ChaCha20Poly1305,
    /// AES-256-GCM of NIST SP 800-38D: faster where the processor has instructions for it.
    Aes256Gcm,
}

impl Suite {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::ChaCha20Poly1305, Self::Aes256Gcm];

    /// Its number in the format (docs/format.md, section 6).
    pub const fn number(self) -> u16 {
        match self {
            Self::ChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// Its name in the format and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes256Gcm => "aes-256-gcm",
        }
    }

    /// The suite of this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// The suite of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Whether this processor runs it at full speed. Without instructions for AES, AES-256-GCM is
    /// right and several times slower. It takes constant time there, too.
    pub fn is_fast_here(self) -> bool {
        match self {
            Self::ChaCha20Poly1305 => true,
            Self::Aes256Gcm => has_aes(),
        }
    }
}

/// Both halves of GCM: rounds of AES, and products without carries for the tag.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_found_by_its_number_and_by_its_name_and_no_other_is() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_number(suite.number()), Some(suite));
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
        }
        assert_eq!((Suite::from_number(0), Suite::from_number(3)), (None, None));
        assert_eq!(Suite::from_name("AES-256-GCM"), None);
        assert!(Suite::default().is_fast_here(), "the default is fast everywhere");
    }
}
