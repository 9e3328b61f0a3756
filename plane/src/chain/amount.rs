//! Amounts of tokens in TOML, whose integers end where a thousand tokens of 18 digits begin.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

/// As a text.
pub(super) fn serialize<S: Serializer>(amount: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&amount.to_string())
}

/// From a number or a text of digits, which may be grouped by `_`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number.into()),
        Written::Text(text) => text
            .replace('_', "")
            .parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is no amount"))),
    }
}
