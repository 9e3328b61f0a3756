//! The fuzzer of one decoder, which `CAIRN_FUZZ` names, as `tests/fuzz.sh` builds and runs it.
#![cfg_attr(cairn_fuzz, no_main)]
#![cfg_attr(cairn_fuzz, allow(unsafe_code))]

#[cfg(cairn_fuzz)]
mod fuzzer {
    use cairn_fuzz::targets;
    use cairn_merkle::fuzzing::{Target, chosen};
    use std::sync::LazyLock;

    static TARGET: LazyLock<&Target> = LazyLock::new(|| chosen(targets()));

    libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |input: &[u8]| cairn_fuzz::run(&TARGET, input));
}

#[cfg(not(cairn_fuzz))]
fn main() {
    println!("this is no fuzzer: tests/fuzz.sh builds one");
}
