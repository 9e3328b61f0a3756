//! The workloads: what is done, which rows it fills, what it needs.
//!
//! ```text
//! Case "small" --run(stage)--> rows small.create, small.stat, small.list_cold, ...
//! ```
//!
//! A case is one file's worth of work on one fresh volume. It fills its rows in the order of its
//! list. Targets, reports and comparisons speak of the rows by their names, which never change
//! their meaning.

mod apps;
mod commit;
mod copy;
mod database;
mod engine;
mod files;
mod grow;
mod kind;
mod publish;
mod raw;
mod stream;

use anyhow::{Context, Result};

pub(crate) use copy::make_sources;
pub(crate) use kind::{Case, Limit, Part, Row, Tier, Unit};

/// Every case, in the order of tables.
pub(crate) static ALL: &[&Case] = &[
    &raw::RAW,
    &engine::ENGINE,
    &stream::STREAM,
    &stream::RANDOM,
    &stream::FSYNC,
    &files::SMALL,
    &copy::TREE,
    &database::SQLITE,
    &stream::BIG,
    &stream::DIRECT,
    &stream::MIXED,
    &files::APPEND,
    &files::DEEP,
    &apps::PROGRAMS,
    &apps::LSM,
    &database::POSTGRES,
    &commit::PAUSE,
    &commit::SNAPSHOT,
    &publish::PUBLISH,
    &grow::TREE,
    &grow::FLAT,
    &commit::FILL,
    &commit::SUSTAINED,
];

/// The case with this name.
pub(crate) fn by_id(id: &str) -> Result<&'static Case> {
    ALL.iter()
        .find(|case| case.id == id)
        .copied()
        .with_context(|| format!("there is no workload `{id}`: see `cairn-bench list`"))
}

/// The row with this name, and its case.
pub(crate) fn row(id: &str) -> Option<(&'static Case, &'static Row)> {
    ALL.iter()
        .find_map(|case| Some((*case, case.rows.iter().find(|row| row.id == id)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_a_row_begins_with_its_case() {
        let cases: BTreeSet<_> = ALL.iter().map(|case| case.id).collect();
        assert_eq!(cases.len(), ALL.len());
        let rows: Vec<_> = ALL
            .iter()
            .flat_map(|case| case.rows.iter().map(move |row| (case, row)))
            .collect();
        assert_eq!(
            rows.iter().map(|(_, row)| row.id).collect::<BTreeSet<_>>().len(),
            rows.len()
        );
        for (case, row) in rows {
            assert!(row.id.starts_with(&format!("{}.", case.id)), "{}", row.id);
        }
    }

    #[test]
    fn limits_name_rows_of_the_raw_case() {
        for row in ALL.iter().flat_map(|case| case.rows) {
            let (Limit::Serial(parts) | Limit::Pipeline(parts)) = row.limit else {
                continue;
            };
            for part in parts {
                if let Part::Raw(id) = part {
                    assert!(raw::RAW.rows.iter().any(|raw| raw.id == *id), "{}: {id}", row.id);
                }
            }
        }
    }
}
