//! Which crates a crate is built on, read from `Cargo.lock`: with every feature, and for its tests.

use std::collections::{BTreeMap, BTreeSet};

/// Every package of the lock file, and the packages it names. Versions of one name count as one.
pub(crate) struct Lock(BTreeMap<String, BTreeSet<String>>);

impl Lock {
    pub(crate) fn read(text: &str) -> Self {
        let mut packages = BTreeMap::<String, BTreeSet<String>>::new();
        for package in text.split("[[package]]").skip(1) {
            let value = |line: &str| Some(line.split('"').nth(1)?.to_owned());
            let name = package.lines().find(|line| line.starts_with("name = "));
            let name = name.and_then(value).expect("a package has a name");
            let (_, named) = package.split_once("dependencies = [").unwrap_or_default();
            let named = named.split(']').next().unwrap_or_default().lines();
            // A name with more than one version stands before its version.
            let named = named.filter_map(|line| Some(value(line)?.split(' ').next()?.to_owned()));
            packages.entry(name).or_default().extend(named);
        }
        Self(packages)
    }

    /// What `package` is built on, itself included.
    pub(crate) fn below<'a>(&'a self, package: &'a str) -> BTreeSet<&'a str> {
        assert!(self.0.contains_key(package), "the lock file has no {package}");
        let mut below = BTreeSet::new();
        let mut open = vec![package];
        while let Some(name) = open.pop() {
            if below.insert(name) {
                open.extend(self.0.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        below
    }
}
