//! Files to begin with, for `tests/fuzz`.

use super::{CarVolume, export_v1, export_v2};
use crate::testing::Sample;
use bytes::Bytes;
use std::io::Cursor;

/// One version of a small volume, as a stream and with an index.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sample = Sample::grow(1, 1, 2);
    let volume = CarVolume {
        root: sample.root,
        header: Bytes::from_static(b"header"),
        head: None,
        since: None,
    };
    let mut stream = Vec::new();
    let exported = export_v1(&sample.store, &volume, None, &mut stream, &|_| {});
    exported.expect("a sample is whole");
    let mut file = Cursor::new(Vec::new());
    let exported = export_v2(&sample.store, &volume, None, &mut file, &|_| {});
    exported.expect("a sample is whole");
    vec![stream, file.into_inner()]
}
