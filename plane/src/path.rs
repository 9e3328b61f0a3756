//! Paths in JSON: text where a path is text, else its bytes. Names on Linux need not be UTF-8.
//!
//! ```text
//!  /srv/store --> "/srv/store"        /srv/caf\xe9 --> [47, 115, 114, 118, 47, 99, 97, 102, 233]
//! ```
//!
//! For fields: `#[serde(with = "crate::path")]`, on a path, on one that may be absent, on a list of
//! them.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Has a path lead to the same file wherever the process works.
///
/// # Errors
/// When the working directory is gone.
pub(crate) fn make_absolute(path: &mut PathBuf) -> Result<()> {
    *path = std::path::absolute(&*path).map_err(Error::at("find", path))?;
    Ok(())
}

/// A path as it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    /// One that is UTF-8.
    Text(String),
    /// Any other.
    Bytes(Vec<u8>),
}

/// A path as a value for `json!`.
pub(crate) fn json(path: &Path) -> Written {
    path.as_os_str().to_owned().write()
}

/// What has paths and nothing else.
pub(crate) trait Paths: Sized {
    /// The same as it stands in JSON.
    type Written: Serialize + for<'de> Deserialize<'de>;
    /// To JSON.
    fn write(&self) -> Self::Written;
    /// And back.
    fn read(written: Self::Written) -> Self;
}

impl Paths for OsString {
    type Written = Written;

    fn write(&self) -> Written {
        match self.to_str() {
            Some(text) => Written::Text(text.to_owned()),
            None => Written::Bytes(self.as_bytes().to_vec()),
        }
    }

    fn read(written: Written) -> Self {
        match written {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => Self::from_vec(bytes),
        }
    }
}

impl Paths for PathBuf {
    type Written = Written;

    fn write(&self) -> Written {
        self.as_os_str().to_owned().write()
    }

    fn read(written: Written) -> Self {
        OsString::read(written).into()
    }
}

impl<P: Paths> Paths for Option<P> {
    type Written = Option<P::Written>;

    fn write(&self) -> Self::Written {
        self.as_ref().map(P::write)
    }

    fn read(written: Self::Written) -> Self {
        written.map(P::read)
    }
}

impl<P: Paths> Paths for Vec<P> {
    type Written = Vec<P::Written>;

    fn write(&self) -> Self::Written {
        self.iter().map(P::write).collect()
    }

    fn read(written: Self::Written) -> Self {
        written.into_iter().map(P::read).collect()
    }
}

/// For serde.
pub(crate) fn serialize<P: Paths, S: Serializer>(paths: &P, to: S) -> std::result::Result<S::Ok, S::Error> {
    paths.write().serialize(to)
}

/// For serde.
pub(crate) fn deserialize<'de, P: Paths, D: Deserializer<'de>>(from: D) -> std::result::Result<P, D::Error> {
    P::Written::deserialize(from).map(P::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named {
        #[serde(with = "crate::path")]
        one: PathBuf,
        #[serde(with = "crate::path")]
        maybe: Option<PathBuf>,
        #[serde(with = "crate::path")]
        many: Vec<PathBuf>,
    }

    #[test]
    fn paths_of_any_bytes_come_back_from_json_and_text_stays_text() {
        let odd = PathBuf::from(OsString::from_vec(b"/srv/caf\xe9 \\,\n".to_vec()));
        for path in [odd, "/srv/store".into(), PathBuf::new()] {
            let named = Named {
                one: path.clone(),
                maybe: Some(path.clone()),
                many: vec![path.clone(), path],
            };
            let text = serde_json::to_string(&named).unwrap();
            assert_eq!(serde_json::from_str::<Named>(&text).unwrap(), named);
        }
        let text = serde_json::to_string(&PathBuf::from("/srv").write()).unwrap();
        assert_eq!(text, "\"/srv\"");
    }
}
