use super::*;

/// All bytes of the first key are 1, and so on.
const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn key(suite: Suite, number: usize) -> AeadKey<'static> {
    let bytes = &KEYS[number - 1];
    AeadKey { suite, bytes }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.split_whitespace().collect::<String>();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A published example, sealed and opened by both implementations.
fn require(suite: Suite, [key, nonce, aad, plain, ciphertext, tag]: [&str; 6]) {
    let (key, nonce) = (bytes(key).try_into().unwrap(), bytes(nonce).try_into().unwrap());
    let key = AeadKey { suite, bytes: &key };
    let (aad, plain, ciphertext, tag) = (bytes(aad), bytes(plain), bytes(ciphertext), bytes(tag));
    let mut sealed = plain.clone();
    seal(key, nonce, &aad, &mut sealed);
    assert_eq!(sealed, [&ciphertext[..], &tag].concat());
    open(key, nonce, &aad, &mut sealed).unwrap();
    assert_eq!(sealed, plain);
    assert_eq!(portable::seal_in_place(key, nonce, &aad, &mut sealed)[..], tag);
    assert_eq!(sealed, ciphertext);
}

/// RFC 8439, section 2.8.2.
#[test]
fn the_cipher_is_that_of_the_rfc() {
    let text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let plain: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    require(
        Suite::ChaCha20Poly1305,
        [
            "808182838485868788898a8b8c8d8e8f 909192939495969798999a9b9c9d9e9f",
            "07000000 4041424344454647",
            "50515253c0c1c2c3c4c5c6c7",
            &plain,
            "d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 \
             3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36 \
             92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc \
             3ff4def08e4b7a9de576d26586cec64b 6116",
            "1ae10b594f09e26a7e902ecbd0600691",
        ],
    );
}

/// Test cases 13 to 16 of "The Galois/Counter Mode of Operation" as submitted to NIST, and the
/// first with a plaintext in CAVP's gcmEncryptExtIV256.rsp.
#[test]
fn the_other_cipher_is_that_of_nist() {
    let zeros = "00".repeat(32);
    let key = "feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308";
    let nonce = "cafebabefacedbaddecaf888";
    let plain = "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72 \
                 1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b391aafd255";
    let ciphertext = "522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa \
                      8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662898015ad";
    // All but the last four bytes.
    let short = |hex: &'static str| &hex[..hex.len() - 8];
    let cases = [
        [
            &zeros,
            &zeros[..24],
            "",
            "",
            "",
            "530f8afbc74536b9a963b4f1c4cb738b",
        ],
        [
            &zeros,
            &zeros[..24],
            "",
            &zeros[..32],
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ],
        [
            key,
            nonce,
            "",
            plain,
            ciphertext,
            "b094dac5d93471bdec1a502270e3cc6c",
        ],
        [
            key,
            nonce,
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            short(plain),
            short(ciphertext),
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ],
        [
            "31bdadd96698c204aa9ce1448ea94ae1 fb4a9a0b3c9d773b51bb1822666b8f22",
            "0d18e06c7c725ac9e362e1ce",
            "",
            "2db5168e932556f8089a0622981d017d",
            "fa4362189661d163fcd6a56d8bf0405a",
            "d636ac1bbedd5cc3ee727dc2ab4a9489",
        ],
    ];
    for case in cases {
        require(Suite::Aes256Gcm, case);
    }
}

#[test]
fn a_block_that_commits_to_another_key_is_refused_although_the_tag_agrees() {
    for suite in Suite::ALL {
        let (key, other) = (key(suite, 1), key(suite, 2));
        let mut sealed = b"plain".to_vec();
        seal(key, ONE_TIME, b"", &mut sealed);
        for wrong in [vec![], vec![0; COMMITMENT_LEN], commitment(other).to_vec()] {
            let mut stored = [&sealed[..], &wrong].concat();
            assert!(open_block_into(key, b"", &stored, &mut [1; 5]).is_none());
            assert!(open_block(key, b"", &mut stored).is_none());
        }
        let mut stored = b"plain".to_vec();
        seal_block(key, b"", &mut stored);
        assert_eq!(stored.len(), 5 + OVERHEAD);
        let mut elsewhere = vec![9; 5 + OVERHEAD];
        seal_block_into(key, b"", b"plain", &mut elsewhere);
        assert_eq!(elsewhere, stored);
        let mut plain = [1; 5];
        open_block_into(key, b"", &stored, &mut plain).unwrap();
        assert_eq!(&plain, b"plain");
        open_block(key, b"", &mut stored).unwrap();
        assert_eq!(stored, b"plain");
    }
}

/// One ciphertext of both ciphers under one key can be made, as one under two keys can. It must
/// not matter that its tag is right under both.
#[test]
fn a_block_that_commits_to_the_other_cipher_is_refused_although_the_tag_agrees() {
    for (suite, other) in [(0, 1), (1, 0)] {
        let (key, other) = (key(Suite::ALL[suite], 1), key(Suite::ALL[other], 1));
        assert_ne!(commitment(key), commitment(other));
        let mut stored = b"plain".to_vec();
        seal(key, ONE_TIME, b"", &mut stored);
        stored.extend_from_slice(&commitment(other));
        assert!(open_block_into(key, b"", &stored, &mut [1; 5]).is_none());
        assert!(open_block(key, b"", &mut stored.clone()).is_none());
        // Nor does the cipher that it commits to open it.
        assert!(open_block(other, b"", &mut stored).is_none());
    }
}

#[test]
fn what_one_implementation_seals_the_other_opens_and_neither_what_was_changed() {
    let lens = [
        0usize, 1, 15, 16, 17, 63, 64, 65, 191, 192, 193, 511, 4096, 5000, 131_071, 131_072,
    ];
    for (suite, len) in Suite::ALL
        .into_iter()
        .flat_map(|suite| lens.map(|len| (suite, len)))
    {
        let bytes: [u8; 32] = std::array::from_fn(|at| (at + len) as u8);
        let key = AeadKey { suite, bytes: &bytes };
        let nonce = std::array::from_fn(|at| (3 * at + len) as u8);
        let aad = vec![5; len % 40];
        let plain: Vec<u8> = (0..len).map(|at| (at * 31 + at / 251) as u8).collect();
        let mut one = plain.clone();
        let tag = portable::seal_in_place(key, nonce, &aad, &mut one);
        let mut two = vec![0xee; len];
        assert_eq!(cipher::seal(key, nonce, &aad, &plain, &mut two), tag);
        assert_eq!(one, two);
        assert_eq!(portable::seal(key, nonce, &aad, &plain, &mut two), tag);
        assert_eq!(one, two);
        let mut three = plain.clone();
        assert_eq!(cipher::seal_in_place(key, nonce, &aad, &mut three), tag);
        assert_eq!(one, three);
        let mut back = vec![0xee; len];
        assert!(cipher::open(key, nonce, &aad, (&one, &tag), &mut back));
        assert_eq!(back, plain);
        assert!(portable::open(key, nonce, &aad, (&one, &tag), &mut back));
        assert_eq!(back, plain);
        assert!(portable::open_in_place(key, nonce, &aad, &tag, &mut two));
        assert_eq!(two, plain);
        let mut wrong = tag;
        wrong[len % TAG_LEN] ^= 1;
        assert!(!cipher::open(key, nonce, &aad, (&one, &wrong), &mut back));
        assert!(!cipher::open_in_place(
            key,
            nonce,
            &aad,
            &wrong,
            &mut three.clone()
        ));
        if len > 0 {
            one[len / 2] ^= 0x80;
            assert!(!cipher::open(key, nonce, &aad, (&one, &tag), &mut back));
        }
        assert!(cipher::open_in_place(key, nonce, &aad, &tag, &mut three));
        assert_eq!(three, plain);
    }
}

#[test]
fn a_piece_of_a_block_opens_as_it_does_with_the_rest() {
    let plain: Vec<u8> = (0..200_000usize).map(|at| (at * 13 + at / 999) as u8).collect();
    for suite in Suite::ALL {
        let key = key(suite, 1);
        let mut stored = plain.clone();
        seal_block(key, b"", &mut stored);
        for (at, len) in [
            (0, 1),
            (0, 64),
            (1, 63),
            (15, 2),
            (16, 16),
            (63, 2),
            (64, 64),
            (65, 4096),
            (131_072, 5),
            (199_999, 1),
            (7, 0),
        ] {
            let mut piece = vec![0xee; len];
            open_part(key, &stored[at..at + len], at, &mut piece);
            assert_eq!(piece, plain[at..at + len], "{suite:?}, {at}");
        }
    }
}

#[test]
fn nothing_of_a_refused_message_stays() {
    for suite in Suite::ALL {
        let (right, wrong) = (key(suite, 1), key(suite, 2));
        let mut sealed = vec![3; 100];
        seal(right, ONE_TIME, b"", &mut sealed);
        let mut plain = vec![9; 100];
        assert!(open_into(wrong, ONE_TIME, b"", &sealed, &mut plain).is_none());
        assert_eq!(plain, [0; 100]);
        let mut short = vec![9; 99];
        assert!(open_into(right, ONE_TIME, b"", &sealed, &mut short).is_none());
        assert_eq!(short, [0; 99]);
        assert!(open(wrong, ONE_TIME, b"", &mut sealed).is_none());
        assert!(sealed.iter().all(|byte| *byte == 0));
        assert!(open(right, ONE_TIME, b"", &mut vec![1; TAG_LEN - 1]).is_none());
    }
}
