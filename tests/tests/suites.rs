//! Volumes of both ciphers beside each other: neither takes anything of the other.

use cairn_fs::Error;
use cairn_merkle::{Error as MerkleError, Suite};
use cairn_tests::sample;
use cairn_tests::volume::{self, Copy};

/// From one seed: both have the same id, the same volume key and the same key file. So all that
/// tells them apart is what they are sealed with.
#[test]
fn nothing_of_a_volume_of_one_cipher_opens_in_a_volume_of_the_other() {
    let copies = Suite::ALL.map(sample::closed_of);
    for (at, own) in copies.iter().enumerate() {
        let other = &copies[1 - at];
        let mixed = |mixed: Copy, what: &str| {
            let store = mixed.into_memory();
            let before = Copy::of(&*store);
            let opened = volume::open(store.clone(), 60).map(drop);
            assert!(Copy::of(&*store) == before, "{what}: something was written");
            match opened {
                Err(Error::Merkle(error)) => error,
                opened => panic!("{what}: {opened:?}"),
            }
        };
        let mut header = own.header.clone().expect("the sample has a header");
        let number = Suite::ALL[1 - at].number() as u8;
        assert_ne!(std::mem::replace(&mut header[32], number), number);
        let renamed = Copy {
            header: Some(header),
            ..own.clone()
        };
        let error = mixed(renamed, "a header that names the other cipher");
        assert!(matches!(error, MerkleError::WrongKey), "{error}");
        let foreign = Copy {
            header: other.header.clone(),
            ..own.clone()
        };
        let error = mixed(foreign, "the header of the other volume");
        assert!(matches!(error, MerkleError::Corrupt { .. }), "{error}");
        let foreign = Copy {
            header: own.header.clone(),
            ..other.clone()
        };
        mixed(foreign, "blocks and head of the other volume");
    }
}
