//! Runs a list of operations, and makes the list short if it fails.

use crate::op::Op;
use crate::run::Runner;
use cairn_merkle::Suite;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How often everything is compared, in operations; each operation also checks what it touched.
const COMPARE_EVERY: usize = 16;
/// How many shorter lists are tried before the shortest so far is printed.
const SHRINKS_MAX: usize = 400;

/// Does `ops` on a new volume of this `kind`, its cipher and the bytes of its records. Panics with a
/// short list of operations if engine and model differ.
///
/// # Panics
/// If they differ: `origin` is printed with the index of the operation, so that it can be run
/// again.
pub fn replay(origin: &str, kind: (Suite, u32), ops: &[Op]) {
    let Err((index, why)) = run(kind, ops) else {
        return;
    };
    let short = shrink(kind, ops[..=index].to_vec());
    let why_short = run(kind, &short)
        .err()
        .map_or("it does not fail again".into(), |(_, why)| why);
    panic!(
        "{origin}, operation {index}: {why}\nshortened to {} operations: {why_short}\n{short:?}",
        short.len()
    );
}

fn run((suite, record_size): (Suite, u32), ops: &[Op]) -> Result<(), (usize, String)> {
    let mut runner = Runner::of(suite, record_size);
    for (index, op) in ops.iter().enumerate() {
        let compares = index % COMPARE_EVERY == 0 || index + 1 == ops.len();
        // A panic of the engine is a failure as any other, and its list is made short as well.
        let step = catch_unwind(AssertUnwindSafe(|| {
            runner.step(op)?;
            if compares { runner.compare() } else { Ok(()) }
        }));
        let outcome = step.unwrap_or_else(|panic| Err(format!("panic: {}", words(&*panic))));
        outcome.map_err(|why| (index, why))?;
    }
    runner.finish().map_err(|why| (ops.len().saturating_sub(1), why))
}

/// Leaves out ever smaller runs of operations for as long as it still fails.
fn shrink(kind: (Suite, u32), mut ops: Vec<Op>) -> Vec<Op> {
    let mut tries = 0;
    let mut width = ops.len() / 2;
    while width > 0 {
        let mut start = 0;
        while start < ops.len() && tries < SHRINKS_MAX {
            let mut shorter = ops.clone();
            shorter.drain(start..ops.len().min(start + width));
            tries += 1;
            match run(kind, &shorter) {
                // What comes behind the failure is not needed.
                Err((index, _)) => ops = shorter[..=index.min(shorter.len().saturating_sub(1))].to_vec(),
                Ok(()) => start += width,
            }
        }
        width /= 2;
    }
    ops
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}
