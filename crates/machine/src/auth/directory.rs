//! A sorted map by name whose copies share what they have in common.
//!
//! The apply thread changes users and roles while readers hold the state of a moment ago. A copy
//! costs one pointer for every [`CHUNK_ENTRIES_MAX`] entries, and a change copies one chunk: with a
//! hundred thousand users that is some ten microseconds, where a copy of the whole map would take
//! tens of milliseconds.
//!
//! ```text
//!  before   [ ●─ adam … carl ][ ●─ dora … hugo ][ ●─ ida … zoe ]
//!             ▲                                   ▲
//!  after    [ ●               ][ ●─ dora … hugo ][ ●           ]      "emil" was added
//! ```

use std::sync::Arc;

/// Entries in one chunk: what a change copies, against what a copy of the directory copies.
const CHUNK_ENTRIES_MAX: usize = 64;

/// A map from names to values, in byte order of the names. Invariant: no chunk is empty, and names
/// ascend within and across chunks.
#[derive(Debug)]
pub(crate) struct Directory<T> {
    chunks: Vec<Arc<Vec<Entry<T>>>>,
}

/// A name and its value, shared by all copies that have it.
#[derive(Debug)]
struct Entry<T> {
    name: Arc<str>,
    value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), value: Arc::clone(&self.value) }
    }
}

impl<T> Clone for Directory<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone() }
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Directory<T> {
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let chunk = &self.chunks[self.chunk_of(name)?];
        let place = chunk.binary_search_by(|entry| entry.name[..].cmp(name)).ok()?;
        Some(&chunk[place].value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|entry| (&entry.name[..], &*entry.value))
    }

    /// Inserts or replaces.
    pub(crate) fn insert(&mut self, name: &str, value: T) {
        let entry = Entry { name: name.into(), value: Arc::new(value) };
        let Some(place) = self.chunk_of(name) else { return self.insert_first(entry) };
        let chunk = Arc::make_mut(&mut self.chunks[place]);
        match chunk.binary_search_by(|entry| entry.name[..].cmp(name)) {
            Ok(found) => chunk[found] = entry,
            Err(gap) => chunk.insert(gap, entry),
        }
        if chunk.len() > CHUNK_ENTRIES_MAX {
            let upper = chunk.split_off(chunk.len() / 2);
            self.chunks.insert(place + 1, Arc::new(upper));
        }
    }

    /// Returns whether there was such an entry.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(place) = self.chunk_of(name) else { return false };
        let Ok(found) = self.chunks[place].binary_search_by(|entry| entry.name[..].cmp(name)) else {
            return false;
        };
        Arc::make_mut(&mut self.chunks[place]).remove(found);
        if self.chunks[place].is_empty() {
            self.chunks.remove(place);
        }
        true
    }

    /// Replaces every value for which there is a new one. Chunks without such are still shared.
    pub(crate) fn replace_where(&mut self, mut new: impl FnMut(&T) -> Option<T>) {
        for chunk in &mut self.chunks {
            for place in 0..chunk.len() {
                if let Some(value) = new(&chunk[place].value) {
                    Arc::make_mut(chunk)[place].value = Arc::new(value);
                }
            }
        }
    }

    /// The chunk where a name is, or belongs; `None` if there is no chunk.
    fn chunk_of(&self, name: &str) -> Option<usize> {
        if self.chunks.is_empty() {
            return None;
        }
        let behind = self.chunks.partition_point(|chunk| &chunk[0].name[..] <= name);
        Some(behind.saturating_sub(1))
    }

    fn insert_first(&mut self, entry: Entry<T>) {
        self.chunks.push(Arc::new(vec![entry]));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn content(directory: &Directory<u32>) -> BTreeMap<String, u32> {
        assert!(directory.chunks.iter().all(|chunk| (1..=CHUNK_ENTRIES_MAX).contains(&chunk.len())));
        let names: Vec<&str> = directory.iter().map(|(name, _)| name).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
        directory.iter().map(|(name, &value)| (name.to_owned(), value)).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copies_do_not_change(
            steps in prop::collection::vec((0..300u32, 0..4u8), 1..600),
        ) {
            let mut directory = Directory::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (number, what) in steps {
                let name = format!("{number:03}");
                match what {
                    0 => prop_assert_eq!(directory.remove(&name), model.remove(&name).is_some()),
                    1 => copies.push((directory.clone(), model.clone())),
                    _ => {
                        directory.insert(&name, number * 2);
                        model.insert(name.clone(), number * 2);
                    }
                }
                prop_assert_eq!(directory.get(&name), model.get(&name));
            }
            directory.replace_where(|value| value.is_multiple_of(3).then_some(value + 1));
            model.values_mut().filter(|value| value.is_multiple_of(3)).for_each(|value| *value += 1);
            prop_assert_eq!(content(&directory), model);
            for (copy, model) in copies {
                prop_assert_eq!(content(&copy), model);
            }
        }
    }
}
