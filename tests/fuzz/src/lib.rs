//! Every decoder of outside bytes under coverage-guided fuzzing.
//!
//! ```text
//!  crates' `fuzzing` modules --TARGETS--> run(target, input) --> the decoder's own assertions
//!                                              `-- allocated --> no more than the input's length allows
//!  tests/seeds.rs   well-formed inputs, and what was found before (`seeds/TARGET/`), once each in `cargo test`
//!  main.rs          the fuzzer, in a build by `tests/fuzz.sh`
//! ```

mod allocated;

use cairn_merkle::fuzzing::Target;

/// What a decoder may take in memory, whatever the input is: a page of answers, one longest block,
/// tables of a parser.
const BYTES_MIN: usize = 4 << 20;
/// And for each byte of input: a value of JSON in two bytes of text is the most a byte brings
/// about.
const BYTES_PER_BYTE: usize = 256;

/// The decoders of all crates.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    let crates = [
        cairn_merkle::fuzzing::TARGETS,
        cairn_store::fuzzing::TARGETS,
        cairn_wire::fuzzing::TARGETS,
        cairn_fs::fuzzing::TARGETS,
        cairn_chain::fuzzing::TARGETS,
    ];
    crates.into_iter().flatten()
}

/// Feeds one input to one decoder.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn run(target: &Target, input: &[u8]) {
    let ((), peak) = allocated::peak_of(|| (target.run)(input));
    let allowed = BYTES_MIN + BYTES_PER_BYTE * input.len();
    assert!(
        peak <= allowed,
        "{} took {peak} bytes of memory for an input of {}",
        target.name,
        input.len()
    );
}
