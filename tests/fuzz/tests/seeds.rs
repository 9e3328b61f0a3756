//! Each decoder over well-formed inputs, over these with one byte changed, and over what fuzzing
//! has found before.

use cairn_fuzz::{run, targets};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_decoder_keeps_its_promises_over_its_seeds_and_what_was_found_before() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut names = BTreeSet::new();
    for target in targets() {
        assert!(
            names.insert(target.name),
            "two decoders are called {}",
            target.name
        );
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has nothing to begin with", target.name);
        for seed in &seeds {
            run(target, seed);
            // Short of fuzzing, this finds what lies next to what is right.
            for at in (0..seed.len()).take(400) {
                for change in [1, 0x80, 0xff] {
                    let mut near = seed.clone();
                    near[at] ^= change;
                    run(target, &near);
                }
                run(target, &seed[..at]);
            }
        }
        let Ok(inputs) = found.join(target.name).read_dir() else {
            continue;
        };
        for input in inputs {
            run(target, &std::fs::read(input.unwrap().path()).unwrap());
        }
    }
    for folder in found.read_dir().into_iter().flatten() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&*name), "no decoder is called {name}");
    }
}
