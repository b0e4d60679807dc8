//! Many short byte strings in one block.

/// A sequence of keys, packed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<u32>,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, position: usize) -> usize {
        if position == 0 { 0 } else { self.ends[position - 1] as usize }
    }

    pub(crate) fn get(&self, position: usize) -> &[u8] {
        &self.bytes[self.start(position)..self.ends[position] as usize]
    }

    /// Position of the key, or else where it belongs.
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    pub(crate) fn push(&mut self, key: &[u8]) {
        self.check_room(key.len());
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
    }

    /// A place that wraps around would be that of another key.
    fn check_room(&self, more: usize) {
        let has_room = u32::try_from(self.bytes.len() + more).is_ok();
        assert!(has_room, "{} keys have {} bytes, and {more} come", self.len(), self.bytes.len());
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn insert(&mut self, position: usize, key: &[u8]) {
        self.check_room(key.len());
        let start = self.start(position);
        let old_len = self.bytes.len();
        if self.bytes.capacity() - old_len < key.len() {
            // Of the leaves' memory, a quarter at most lies idle.
            self.bytes.reserve_exact(key.len().max(old_len / 4));
        }
        self.bytes.extend_from_slice(key);
        self.bytes.copy_within(start..old_len, start + key.len());
        self.bytes[start..start + key.len()].copy_from_slice(key);
        self.ends.insert(position, start as u32);
        self.ends[position..].iter_mut().for_each(|end| *end += key.len() as u32);
    }

    pub(crate) fn remove(&mut self, position: usize) {
        let (start, end) = (self.start(position), self.ends[position] as usize);
        self.bytes.drain(start..end);
        self.ends.remove(position);
        self.ends[position..].iter_mut().for_each(|other| *other -= (end - start) as u32);
    }

    pub(crate) fn split_off(&mut self, position: usize) -> Self {
        let start = self.start(position);
        let bytes = self.bytes.split_off(start);
        let mut ends = self.ends.split_off(position);
        ends.iter_mut().for_each(|end| *end -= start as u32);
        self.bytes.shrink_to_fit();
        Self { bytes, ends }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.check_room(other.bytes.len());
        let offset = self.bytes.len() as u32;
        self.bytes.reserve_exact(other.bytes.len());
        self.ends.reserve_exact(other.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| end + offset));
    }

    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}
