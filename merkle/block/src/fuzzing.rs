//! What a decoder of outside bytes is to `tests/fuzz`, and how a fuzzer picks one.

/// A decoder: its name, what is asserted of it, and inputs to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the folder of its inputs.
    pub name: &'static str,
    /// Panics if the decoder breaks a promise.
    pub run: fn(&[u8]),
    /// Well-formed inputs, made by the encoder of today.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The decoder that `CAIRN_FUZZ` names. Without one, names all and ends: inputs to begin with go to
/// the directory `CAIRN_FUZZ_SEEDS`, into a folder for each.
pub fn chosen(targets: impl Iterator<Item = &'static Target>) -> &'static Target {
    let name = std::env::var("CAIRN_FUZZ").unwrap_or_default();
    let dir = std::env::var_os("CAIRN_FUZZ_SEEDS").map(std::path::PathBuf::from);
    for target in targets {
        if target.name == name {
            return target;
        }
        println!("{}", target.name);
        let Some(dir) = dir.as_ref().map(|dir| dir.join(target.name)) else {
            continue;
        };
        std::fs::create_dir_all(&dir).expect("CAIRN_FUZZ_SEEDS is a directory");
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(dir.join(format!("begin-{number}")), seed).expect("a seed can be written");
        }
    }
    std::process::exit(i32::from(!name.is_empty()));
}
