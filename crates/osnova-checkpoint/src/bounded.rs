//! Objects and lists of JSON whose number of entries is bounded, so that a file's length bounds the memory it takes: an
//! entry of a few bytes of text takes many times as much in a map.

use crate::text;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// More entries than this has no honest file.
pub(crate) const MOST_ENTRIES: usize = 1 << 16;

/// An object, each key once.
pub(crate) fn object<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    deserializer.deserialize_map(Bounded(PhantomData::<BTreeMap<String, V>>))
}

/// A list.
pub(crate) fn list<'de, D: Deserializer<'de>, V: Deserialize<'de>>(deserializer: D) -> Result<Vec<V>, D::Error> {
    deserializer.deserialize_seq(Bounded(PhantomData::<Vec<V>>))
}

struct Bounded<T>(PhantomData<T>);

fn room<E: Error>(entries: usize) -> Result<(), E> {
    if entries < MOST_ENTRIES { Ok(()) } else { Err(E::custom(format!("there are more than {MOST_ENTRIES} entries"))) }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Bounded<BTreeMap<String, V>> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            room(entries.len())?;
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {} appears twice", text::name(&key))));
            }
            let value = map.next_value()?;
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Bounded<Vec<V>> {
    type Value = Vec<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            room(entries.len())?;
            entries.push(entry);
        }
        Ok(entries)
    }
}
